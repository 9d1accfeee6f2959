// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// direct is a system of plain calls; it loses what it is told to lose.
type direct struct {
	lose   int
	adders []Adder
}

func (d *direct) Counter(n int, adder func(k int) Adder) (func(keys.Cursor, int), func(int) int64, error) {
	d.adders = make([]Adder, n)
	for k := range d.adders {
		d.adders[k] = adder(k)
	}
	produce := func(ids keys.Cursor, count int) {
		for i := range count {
			if k, _ := keys.Index(ids.Next()); i >= d.lose {
				d.adders[k].Add()
			}
		}
		if d.lose > 0 {
			d.adders[0].done.Done() // The end is noticed all the same.
		}
	}
	return produce, func(k int) int64 { return d.adders[k].Executed }, nil
}

func (*direct) Relay(int, func(int) Walker) (func(string, int), func(int) int64, error) {
	return nil, nil, errors.New("none")
}

func (*direct) Ring(int, func() Member) (func(int), func(int) int64, error) {
	return nil, nil, errors.New("none")
}

func (*direct) Skynet(Node, func(int64)) error { return errors.New("none") }
func (*direct) Close()                         {}

// A system that loses a message is noticed, and so is one that does not start.
func TestVerify(t *testing.T) {
	for lose, want := range map[int]bool{0: true, 1: false} {
		s := &direct{lose: lose}
		if _, err := memory(s, keys.Load{Keys: 1, Dist: keys.Uniform}); (err == nil) != want {
			t.Errorf("%d messages lost of a memory run: %v", lose, err)
		}
	}
	runs := Runs(func(int) (System, error) { return &direct{}, nil })
	for _, name := range []string{Relay, PingPong, Ring, Skynet} {
		if value, err := runs[name](keys.Load{Keys: 10, Messages: 2, Dist: keys.Uniform}); err == nil {
			t.Errorf("%s ran on a system that does not start: %v", name, value)
		}
	}
	if _, err := runs[Counter](keys.Load{}); err == nil {
		t.Error("a load without keys ran")
	}
	if err := verify(2, func(k int) int64 { return int64(k) }, 1); err != nil {
		t.Error(err)
	}
	if err := verify(2, func(k int) int64 { return int64(k) }, 2); err == nil {
		t.Error("one of two messages was lost, and verify says nothing")
	}
}
