// SPDX-License-Identifier: Apache-2.0

package file

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/statefun"
)

// converter makes a value of a line. The value may alias the line.
type converter func(line []byte) ([]byte, error)

// converterOf returns the converter for a type. Built-in values are wrapped on the wire; what is in a file is text.
func converterOf(typename string) converter {
	switch typename {
	case statefun.String.Typename():
		return func(line []byte) ([]byte, error) { return statefun.String.Append(nil, string(line)) }
	case statefun.Bool.Typename():
		return fromJSON(statefun.Bool)
	case statefun.Int32.Typename():
		return fromJSON(statefun.Int32)
	case statefun.Int64.Typename():
		return fromJSON(statefun.Int64)
	case statefun.Float32.Typename():
		return fromJSON(statefun.Float32)
	case statefun.Float64.Typename():
		return fromJSON(statefun.Float64)
	}
	return func(line []byte) ([]byte, error) { return line, nil }
}

func fromJSON[T any](t statefun.Type[T]) converter {
	return func(line []byte) ([]byte, error) {
		var v *T // null is none of its values.
		err := json.Unmarshal(line, &v)
		if err == nil && v == nil {
			err = errors.New("null")
		}
		if err != nil {
			return nil, fmt.Errorf("the line is no %s: %w", t.Typename(), err)
		}
		return t.Append(nil, *v)
	}
}
