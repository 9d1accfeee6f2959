// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/engine/inspect"
	"github.com/millrace-io/millrace/engine/statefun"
)

func shared(t *testing.T) *Shared {
	t.Helper()
	b, err := memory.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return &Shared{Backend: b}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What programs read is written here word for word.
func TestInspect(t *testing.T) {
	s := shared(t)
	if list, err := s.List(t.Context()); err != nil || asJSON(t, list) != "[]" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := s.Inspect(t.Context(), Question{}); !errors.Is(err, inspect.ErrNone) {
		t.Errorf("%v", err)
	}
	commit(t, s, 41)
	list, err := s.List(t.Context())
	const counts = `"epoch":41,"generation":1,"created_at_ms":1790000000123,"instances":3,"in_flight":1,"timers":0,"outbox":0,"bytes":111`
	if got := asJSON(t, list); err != nil || got != "[{"+counts+"}]" {
		t.Errorf("%s, %v", got, err)
	}
	const hash = `,"state_hash":"` + goldenHash + `"`
	for _, tt := range []struct {
		q    Question
		want string
	}{
		{Question{}, ""},
		{Question{Sum: "shop/cart:n"}, `,"sum":33`},
		{Question{Sum: "shop/cart:n", SumInFlight: "shop/Add"}, `,"sum":33,"sum_in_flight":100`},
	} {
		i, err := s.Inspect(t.Context(), tt.q)
		if got := asJSON(t, i); err != nil || got != "{"+counts+hash+tt.want+"}" {
			t.Errorf("%+v: %s, %v", tt.q, got, err)
		}
	}
	for _, q := range []Question{{Sum: "shop/cart"}, {Sum: "cart:n"}, {Sum: "shop/cart:"}, {SumInFlight: "Add"}} {
		if _, err := s.Inspect(t.Context(), q); err == nil || q.Validate() == nil {
			t.Errorf("%+v is taken", q)
		}
	}
	for _, q := range []Question{{Sum: "shop/cart:missing"}, {Sum: "shop/missing:n"}} {
		if _, err := s.Inspect(t.Context(), q); !errors.Is(err, ErrQuestion) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := s.Inspect(t.Context(), Question{Sum: "shop/cart:raw"}); err == nil || !strings.Contains(err.Error(), "no integer") {
		t.Errorf("what is no integer is added up: %v", err)
	}
}

const goldenHash = "902ed602052ad6b1a3daa41c0fb9bfe4"

// What is looked at is of one epoch, however many are committed meanwhile.
func TestInspectWhileCommitting(t *testing.T) {
	s := shared(t)
	commit(t, s, 1)
	var committing sync.WaitGroup
	committing.Go(func() {
		for epoch := range statefun.Epoch(200) {
			commit(t, s, epoch+2)
		}
	})
	for last := uint64(0); last < 201; {
		i, err := s.Inspect(t.Context(), Question{Sum: "shop/cart:n"})
		if err != nil || i.Epoch < last || i.Sum.Int64() != 33 {
			t.Fatalf("%+v after epoch %d, %v", i, last, err)
		}
		last = i.Epoch
	}
	committing.Wait()
}

func TestState(t *testing.T) {
	s := shared(t)
	bob := statefun.Address{Type: statefun.FunctionType{Namespace: "shop", Name: "cart"}, ID: "Bob"}
	if _, err := s.State(t.Context(), bob, time.UnixMilli(0)); !errors.Is(err, inspect.ErrNone) {
		t.Errorf("%v", err)
	}
	commit(t, s, 41)
	const n = `{"name":"n","typename":"io.statefun.types/long","bytes":"CQsAAAAAAAAA","text":"11","expires_at_ms":null}`
	const raw = `,{"name":"raw","typename":"shop/Raw","bytes":"/w==","text":null,"expires_at_ms":1300}`
	const head = `{"address":{"namespace":"shop","type":"cart","id":`
	for _, tt := range []struct {
		id   string
		now  int64
		want string
	}{
		{"Bob", 1299, head + `"Bob"},"epoch":41,"states":[` + n + raw + "]}"},
		{"Bob", 1300, head + `"Bob"},"epoch":41,"states":[` + n + "]}"},
		{"\xff", 1300, head + `"\ufffd","id_bytes":"/w=="},"epoch":41,"states":[` + strings.NewReplacer("CQsA", "CQwA", `"11"`, `"12"`).Replace(n) + "]}"},
		{"nobody", 0, head + `"nobody"},"epoch":41,"states":[]}`},
	} {
		bob.ID = tt.id
		got, err := s.State(t.Context(), bob, time.UnixMilli(tt.now))
		if text := asJSON(t, got); err != nil || text != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.id, text, err, tt.want)
		}
	}
}
