// SPDX-License-Identifier: Apache-2.0

// Package values reads and shows values as operators write and read them: those of the built-in types
// (io.statefun.types/…), which are wrapped on the wire, without the wrapping; all others as they are.
package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/statefun"
)

// builtin reads and shows the values of a built-in type, which are wrapped on the wire.
type builtin struct {
	fromJSON func(text []byte) ([]byte, error)
	show     func(wire []byte) (string, error)
}

func builtinOf[T any](t statefun.Type[T]) builtin {
	return builtin{
		fromJSON: func(text []byte) ([]byte, error) {
			var v *T // null is none of its values.
			if err := json.Unmarshal(text, &v); err != nil {
				return nil, err
			}
			if v == nil {
				return nil, errors.New("null")
			}
			return t.Append(nil, *v)
		},
		show: func(wire []byte) (string, error) {
			v, err := t.Decode(wire)
			if s, ok := any(v).(string); ok || err != nil {
				return s, err
			}
			text, err := json.Marshal(v)
			if err != nil { // JSON has no infinity.
				return fmt.Sprint(v), nil
			}
			return string(text), nil
		},
	}
}

var builtins = map[string]builtin{
	statefun.Bool.Typename():    builtinOf(statefun.Bool),
	statefun.Int32.Typename():   builtinOf(statefun.Int32),
	statefun.Int64.Typename():   builtinOf(statefun.Int64),
	statefun.Float32.Typename(): builtinOf(statefun.Float32),
	statefun.Float64.Typename(): builtinOf(statefun.Float64),
	statefun.String.Typename():  builtinOf(statefun.String),
}

// OfJSON returns a JSON text as a value of a type: wrapped for the built-in ones, as it is for others.
func OfJSON(typename, text string) ([]byte, error) {
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("json: %q is not JSON; a string has quotes: '\"…\"'", clip(text))
	}
	t, ok := builtins[typename]
	if !ok {
		return []byte(text), nil
	}
	v, err := t.fromJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("json: %q is no %s: %w", clip(text), typename, err)
	}
	return v, nil
}

// OfString returns a text as a value of a type: wrapped for the built-in string, as it is for others.
func OfString(typename, text string) ([]byte, error) {
	if typename != statefun.String.Typename() {
		return []byte(text), nil
	}
	v, err := statefun.String.Append(nil, text)
	if err != nil {
		return nil, fmt.Errorf("string: %w", err)
	}
	return v, nil
}

// Text returns a value as text; ok is false for bytes that are none.
func Text(m statefun.TypedValue) (text string, ok bool) {
	if t, ok := builtins[m.Typename]; ok {
		if s, err := t.show(m.Value); err == nil {
			return s, true
		}
	}
	if !utf8.Valid(m.Value) {
		return "", false
	}
	return string(m.Value), true
}

// Output is what goes to a terminal or into a pipe: a line for a value of a built-in type, the bytes of others.
func Output(m statefun.TypedValue) []byte {
	if t, ok := builtins[m.Typename]; ok {
		if s, err := t.show(m.Value); err == nil {
			return append([]byte(s), '\n')
		}
	}
	return bytes.Clone(m.Value)
}

// clip keeps an error short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
