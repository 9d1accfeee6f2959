// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/millrace-io/millrace/engine/statefun"
)

// StateSum adds up an integer state value over all instances of a function type. It is an [Adder].
type StateSum struct {
	Function statefun.FunctionType
	Name     string
	Total    big.Int
	Count    int64 // Instances that have the value.
}

// Add implements [Adder].
func (s *StateSum) Add(e Entry) error {
	in, ok := e.(Instance)
	if !ok || in.Address.Type != s.Function {
		return nil
	}
	for _, v := range in.Values {
		if v.Name != s.Name {
			continue
		}
		n, err := integer(v.Typename, v.Bytes)
		if err != nil {
			return fmt.Errorf("inspect: state %s of %v/%q: %w", s.Name, s.Function, in.Address.ID, err)
		}
		s.Total.Add(&s.Total, big.NewInt(n))
		s.Count++
	}
	return nil
}

// PayloadSum adds up the integers in all messages of a typename that are in flight or delayed. It is an [Adder].
type PayloadSum struct {
	Typename string
	Total    big.Int
	Count    int64 // Messages.
}

// Add implements [Adder].
func (s *PayloadSum) Add(e Entry) error {
	var p Payload
	var to statefun.Address
	switch e := e.(type) {
	case Message:
		p, to = e.Payload, e.Target
	case Delayed:
		p, to = e.Payload, e.Target
	default:
		return nil
	}
	if p.Typename != s.Typename {
		return nil
	}
	n, err := integer(p.Typename, p.Value)
	if err != nil {
		return fmt.Errorf("inspect: a message to %v/%q: %w", to.Type, to.ID, err)
	}
	s.Total.Add(&s.Total, big.NewInt(n))
	s.Count++
	return nil
}

// How the built-in types begin: field 1, of 4 or of 8 bytes.
const (
	tagInt32 = 1<<3 | 5
	tagInt64 = 1<<3 | 1
)

// integer reads a number: one of io.statefun.types/int or long, or one of another typename that is written as
// these are, or as engine.Flat writes an int32 or an int64. The lengths of these forms differ.
func integer(typename string, b []byte) (int64, error) {
	switch {
	case typename == statefun.Int64.Typename():
		return statefun.Int64.Decode(b)
	case typename == statefun.Int32.Typename():
		n, err := statefun.Int32.Decode(b)
		return int64(n), err
	case len(b) == 0: // Zero, as the built-in types write it.
		return 0, nil
	case len(b) == 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), nil
	case len(b) == 5 && b[0] == tagInt32:
		return int64(int32(binary.LittleEndian.Uint32(b[1:]))), nil
	case len(b) == 8:
		return int64(binary.LittleEndian.Uint64(b)), nil
	case len(b) == 9 && b[0] == tagInt64:
		return int64(binary.LittleEndian.Uint64(b[1:])), nil
	}
	return 0, fmt.Errorf("%d bytes of %s are no integer", len(b), typename)
}
