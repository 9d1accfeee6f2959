// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// What has been committed can be looked at while the engine runs and goes on to commit.
func TestCheckpoints(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	const polly, says = "po\xff/lly", 3
	for range says {
		if _, err := c.Call(t.Context(), parrotAddress(polly), text(t, "hello"), admin.Delivery{}); err != nil {
			t.Fatal(err)
		}
	}
	made, err := c.Checkpoint(t.Context())
	if err != nil || made.Epoch == 0 || made.Generation != 1 || made.CreatedAtMS == 0 {
		t.Fatalf("%+v, %v", made, err)
	}
	if !strings.Contains(r.log.String(), "an operator has a checkpoint taken") {
		t.Errorf("the log does not tell of it: %s", r.log)
	}

	s, err := c.State(t.Context(), parrotAddress(polly))
	if err != nil || s.Epoch < made.Epoch || string(s.Address.IDBytes) != polly || s.Address.Namespace != "zoo" || s.Address.Type != "parrot" || len(s.States) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if v := s.States[0]; v.Name != "said" || v.Typename != "io.statefun.types/long" || v.Text == nil || *v.Text != "3" || len(v.Bytes) != 9 || v.ExpiresAtMS != nil {
		t.Errorf("%+v", v)
	}
	if s, err := c.State(t.Context(), parrotAddress("nobody")); err != nil || s.States == nil || len(s.States) != 0 || s.Address.ID != "nobody" {
		t.Errorf("without state: %+v, %v", s, err)
	}

	i, err := c.Inspect(t.Context(), store.Question{Sum: "zoo/parrot:said", SumInFlight: "zoo/seed"})
	if err != nil || i.Epoch < made.Epoch || i.Instances != 1 || i.Bytes == 0 || len(i.StateHash) != 32 || i.Sum.Int64() != says || i.SumInFlight.Sign() != 0 {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := c.Inspect(t.Context(), store.Question{}); err != nil || i.Sum != nil || i.SumInFlight != nil {
		t.Errorf("%+v, %v", i, err)
	}
	list, err := c.Checkpoints(t.Context())
	if err != nil || len(list) != 1 || list[0].Epoch < i.Epoch || list[0].Instances != 1 {
		t.Errorf("%+v, %v", list, err)
	}

	_, none := c.State(t.Context(), parrotAddress(""))
	_, unknown := c.State(t.Context(), engine.Address{Type: engine.FunctionType{Namespace: "zoo", Name: "tiger"}, ID: "a"})
	_, sum := c.Inspect(t.Context(), store.Question{Sum: "said"})
	_, flight := c.Inspect(t.Context(), store.Question{SumInFlight: "seed"})
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no id": {none, "malformed"}, "unknown type": {unknown, "unknown_function_type"},
		"sum": {sum, "want <namespace>/<type>:<state>"}, "in flight": {flight, "malformed"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, tt.err, tt.want)
		}
	}
}

// Of an engine without a store there are no checkpoints to see; the answer says how to have them.
func TestNoStore(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	r.Watch(r.engine, nil)
	c := client(t, r.Server, "")
	_, list := c.Checkpoints(t.Context())
	_, inspect := c.Inspect(t.Context(), store.Question{})
	_, create := c.Checkpoint(t.Context())
	for _, err := range []error{list, inspect, create} {
		if err == nil || !strings.Contains(err.Error(), "checkpoints are not kept") || !strings.Contains(err.Error(), "memory:kept") {
			t.Errorf("%v", err)
		}
	}
}

// There is nothing to see before there is an engine.
func TestNoCheckpoints(t *testing.T) {
	s, _ := serve(t, "127.0.0.1:0", "")
	c := client(t, s, "")
	_, state := c.State(t.Context(), parrotAddress("a"))
	_, list := c.Checkpoints(t.Context())
	_, inspect := c.Inspect(t.Context(), store.Question{})
	_, create := c.Checkpoint(t.Context())
	for _, err := range []error{state, list, inspect, create} {
		if err == nil || !strings.Contains(err.Error(), "starting") {
			t.Errorf("%v", err)
		}
	}
}

// What send and call promise is what the engine is told.
func TestDelivery(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	for _, d := range []admin.Delivery{{Durable: true}, {Key: "k-1"}, {Durable: true, Key: "~ \""}} {
		if err := c.Send(t.Context(), parrotAddress("a"), text(t, "hello"), d); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
	for query, want := range map[string]string{
		"durable=perhaps": "durable: want true or false", "key=": "printable ASCII", "key=a%09b": "printable ASCII",
		"key=" + strings.Repeat("k", 256): "printable ASCII",
	} {
		if status, body := ask(t, r.Addr(), "POST", "/v1/send?address=zoo/parrot/a&type=zoo/seed&"+query); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%.40s: %d %s", query, status, body)
		}
	}
}
