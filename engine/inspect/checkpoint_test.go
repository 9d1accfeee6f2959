// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What has been written is read, each kind by its own iterator, with names for numbers.
func TestRead(t *testing.T) {
	for _, l := range []layout{plain, other} {
		cp := read(t, open(t, l, l.part(some())))
		if cp.Epoch != 41 || cp.Application != "shop" || !reflect.DeepEqual(cp.Functions, l.names) {
			t.Errorf("%+v", cp)
		}
		var got []Entry
		for e, err := range cp.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, bare(e, l))
		}
		sameEntries(t, got, some())
		sameEntries(t, picked(t, cp.Instances(t.Context()), l), some()[:2])
		sameEntries(t, picked(t, cp.Messages(t.Context()), l), some()[2:5])
		sameEntries(t, picked(t, cp.Suspended(t.Context()), l), some()[5:6])
		sameEntries(t, picked(t, cp.Delayed(t.Context()), l), some()[6:7])
		sameEntries(t, picked(t, cp.Keys(t.Context()), l), some()[7:8])
		sameEntries(t, picked(t, cp.Records(t.Context()), l), some()[8:])
		for range cp.All(t.Context()) { // One may stop early.
			break
		}
	}
}

// bare is an entry as it was before it was stored. It holds no bytes of the store.
func bare(e Entry, l layout) Entry {
	switch e := e.(type) {
	case Instance:
		e.Stored = Stored{}
		e.Values = slices.Clone(e.Values)
		slices.SortFunc(e.Values, func(a, b Value) int { return cmp.Compare(b.Name, a.Name) }) // As in some.
		return e
	case Message:
		e.Stored = Stored{}
		e.Number /= l.shift
		return e
	case Suspended:
		e.Stored = Stored{}
		return e
	case Delayed:
		e.Stored = Stored{}
		return e
	case Key:
		e.Stored = Stored{}
		return e
	case Record:
		e.Stored = Stored{}
		return e
	}
	panic("unknown entry")
}

func picked[E Entry](t *testing.T, seq iter.Seq2[E, error], l layout) (list []Entry) {
	t.Helper()
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, bare(e, l))
	}
	return list
}

func sameEntries(t *testing.T, got, want []Entry) {
	t.Helper()
	texts := func(list []Entry) (texts []string) {
		for _, e := range list {
			texts = append(texts, fmt.Sprintf("%T %+v", e, e))
		}
		slices.Sort(texts)
		return texts
	}
	if g, w := texts(got), texts(want); !slices.Equal(g, w) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

func TestInstance(t *testing.T) {
	for _, l := range []layout{plain, other} {
		cp := read(t, open(t, l, l.part(some())))
		in, ok, err := cp.Instance(t.Context(), at(cart, "Bob"))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		want := some()[0].(Instance)
		slices.SortFunc(in.Values, func(a, b Value) int { return cmp.Compare(b.Name, a.Name) })
		if in.Address != want.Address || !reflect.DeepEqual(in.Values, want.Values) {
			t.Errorf("%+v, want %+v", in, want)
		}
		if n, items := in.Values[0].Expires(), in.Values[1].Expires(); !n.IsZero() || !items.Equal(time.UnixMilli(61_234)) {
			t.Errorf("they expire at %v and %v", n, items)
		}
		for _, a := range []statefun.Address{at(cart, "nobody"), at(statefun.FunctionType{Namespace: "a", Name: "b"}, "Bob")} {
			if _, ok, err := cp.Instance(t.Context(), a); ok || err != nil {
				t.Errorf("%v: %v, %v", a, ok, err)
			}
		}
		if _, _, err := cp.Instance(t.Context(), at(cart, "")); !errors.Is(err, statefun.ErrMalformed) {
			t.Errorf("no id: %v", err)
		}
	}
}

// Without a checkpoint there is nothing to read, and that is not an empty one.
func TestReadNone(t *testing.T) {
	b, err := backendtest.NewModel(backend.Options{Application: "shop", KeyGroups: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), b); !errors.Is(err, ErrNone) {
		t.Errorf("%v, want ErrNone", err)
	}
}

// busy commits an epoch between the first look of a reader and its scan.
type busy struct {
	backend.Backend
	commit func()
}

func (b busy) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	b.commit()
	return b.Backend.Scan(ctx, r)
}

// What is read is of the epoch that was described, or nothing is read.
func TestReadMeanwhile(t *testing.T) {
	for name, p := range map[string]backend.Part{"some": plain.part(some()), "none": {}} {
		t.Run(name, func(t *testing.T) {
			b := open(t, plain, p)
			cp := read(t, b)
			cp.store = busy{b, func() { commit(t, plain, b, 42, backend.Part{}) }}
			for range 2 { // Committed while it is read, and before.
				if _, err := Summarize(cp.All(t.Context())); !errors.Is(err, ErrChanged) {
					t.Errorf("%v, want ErrChanged", err)
				}
				cp.store = b
			}
			if _, _, err := cp.Instance(t.Context(), at(cart, "Bob")); !errors.Is(err, ErrChanged) {
				t.Errorf("%v, want ErrChanged", err)
			}
		})
	}
}

// What does not decode is damage, and is told with its place.
func TestReadDamaged(t *testing.T) {
	bob := at(cart, "Bob")
	stateKey := checkpoint.AppendStateKey(nil, 0, []byte(bob.ID))
	m := checkpoint.Message{Typename: []byte("a/b")}
	for name, raw := range map[string]backend.Entry{
		"no key":            {},
		"unknown kind":      {Key: []byte{9}},
		"unknown function":  {Key: checkpoint.AppendStateKey(nil, 2, []byte("x"))},
		"unknown state":     {Key: stateKey, Value: []byte{4, 0}},
		"truncated state":   {Key: stateKey, Value: []byte{0, 9}},
		"message":           {Key: checkpoint.AppendMessageKey(nil, 0, []byte("x"), 1), Value: []byte{0xff}},
		"message key":       {Key: []byte{checkpoint.KindMessage}},
		"caller":            {Key: checkpoint.AppendMessageKey(nil, 0, []byte("x"), 1), Value: checkpoint.AppendMessage(nil, &checkpoint.Message{HasCaller: true, Caller: 7, CallerID: []byte("y"), Typename: m.Typename})},
		"suspended":         {Key: []byte{checkpoint.KindSuspended, 0}},
		"delayed":           {Key: checkpoint.AppendDelayedKey(nil, 1)},
		"delayed key":       {Key: []byte{checkpoint.KindDelayed}, Value: checkpoint.AppendDelayed(nil, &checkpoint.Delayed{ID: []byte("x"), Message: m})},
		"idempotency key":   {Key: checkpoint.AppendKeyKey(nil, 0, []byte("x"), []byte("k"))},
		"idempotency key's": {Key: []byte{checkpoint.KindKey}},
		"record":            {Key: checkpoint.AppendRecordKey(nil, 1, 1)},
		"record key":        {Key: []byte{checkpoint.KindRecord}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, plain, backend.Part{Changes: backend.AppendPut(nil, 3, raw.Key, raw.Value)})
			s, err := Summarize(read(t, b).All(t.Context()))
			if !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), "epoch 41: key group 3: ") || s != (Summary{}) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	for name, names := range map[string][]byte{"names": {1, 9}, "no name": checkpoint.AppendNames(nil, []checkpoint.FunctionNames{{Function: "cart"}})} {
		t.Run(name, func(t *testing.T) {
			b := open(t, plain, backend.Part{})
			if err := b.Commit(t.Context(), backend.Checkpoint{Application: "shop", Epoch: 42, KeyGroups: plain.groups, Names: names}, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(t.Context(), b); !errors.Is(err, backend.ErrCorrupt) {
				t.Errorf("%v", err)
			}
		})
	}
}
