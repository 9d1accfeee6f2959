// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

type order struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

func TestJSON(t *testing.T) {
	typ := JSON[order]("shop/order")
	wire, err := typ.Append([]byte("head "), order{"tea", 2})
	if want := `head {"item":"tea","count":2}`; string(wire) != want || err != nil {
		t.Errorf("encoded %s, %v; want %s", wire, err, want)
	}
	got, err := typ.Decode([]byte(`{"count":3,"item":"milk","note":"unknown"}`))
	if want := (order{"milk", 3}); got != want || err != nil {
		t.Errorf("decoded %+v, %v; want %+v", got, err, want)
	}
	if typ.Typename() != "shop/order" || typ.IsZero() || typ.IsFixed() {
		t.Errorf("type %q, zero %v, fixed %v", typ.Typename(), typ.IsZero(), typ.IsFixed())
	}
}

// An error leaves nothing half done: no bytes behind dst, no fields of a value that did not decode.
func TestTypeErrors(t *testing.T) {
	typ := JSON[order]("shop/order")
	for _, in := range []string{"", "{", `{"item":"tea","count":"two"}`, `{"item":"tea"} {}`, "[]"} {
		if got, err := typ.Decode([]byte(in)); got != (order{}) || !errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), "shop/order") {
			t.Errorf("decoded %q to %+v, %v; want nothing and ErrUndecodable", in, got, err)
		}
	}
	if got, err := JSON[float64]("shop/number").Append([]byte("head"), math.NaN()); string(got) != "head" || err == nil {
		t.Errorf("encoded %q, %v; want an error", got, err)
	}
	greedy := NewType("shop/greedy",
		func(dst []byte, _ int) ([]byte, error) { return append(dst, "half"...), errors.New("no") },
		func([]byte) (int, error) { return 7, errors.New("no") })
	if got, err := greedy.Append([]byte("head"), 1); string(got) != "head" || err == nil {
		t.Errorf("encoded %q, %v; want an error", got, err)
	}
	if got, err := greedy.Decode(nil); got != 0 || !errors.Is(err, ErrUndecodable) {
		t.Errorf("decoded %d, %v; want nothing and ErrUndecodable", got, err)
	}
}

// Decode keeps nothing of what it is given: it lies in a buffer that is used again.
func TestDecodeCopies(t *testing.T) {
	b := []byte("\x0a\x05hello")
	text, err := String.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte(`{"a":"hello"}`)
	message, err := JSON[json.RawMessage]("shop/raw").Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	clear(raw)
	if text != "hello" || string(message) != `{"a":"hello"}` {
		t.Errorf("what was decoded has become %q, %q", text, message)
	}
}

// Names in the program's text are as they are on the wire; a wrong one is a mistake of the programmer.
func TestNewTypePanics(t *testing.T) {
	for _, typename := range []string{"", "order", "shop/", "/order", "shop/or der", "sh\xffop/order"} {
		if got := panics(func() { JSON[order](typename) }); !strings.Contains(got, "statefun: NewType") {
			t.Errorf("typename %q: panic %q; want one", typename, got)
		}
	}
}

// panics runs f and returns what it panics with.
func panics(f func()) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message, _ = v.(string)
		}
	}()
	f()
	return ""
}

func TestZeroType(t *testing.T) {
	var typ Type[int]
	if !typ.IsZero() || typ.IsFixed() || typ.Typename() != "" {
		t.Errorf("zero type: zero %v, fixed %v, name %q", typ.IsZero(), typ.IsFixed(), typ.Typename())
	}
	if Int64.IsZero() || !Int64.IsFixed() || String.IsFixed() {
		t.Errorf("long: zero %v, fixed %v; string: fixed %v", Int64.IsZero(), Int64.IsFixed(), String.IsFixed())
	}
}
