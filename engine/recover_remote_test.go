// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// remember is a function elsewhere that keeps what it is told, under the names and types that it has now. A
// message "name=…" sets, any other is only seen; heard is what each request shows.
func remember(heard *list[string], specs ...remote.Spec) *served {
	return &served{f: func(r *remote.Request) error {
		var shown []string
		for _, s := range r.State {
			value := s.Name
			if s.Present {
				value += "=" + string(s.Value)
			}
			shown = append(shown, value)
		}
		heard.add(string(r.ID) + ": " + strings.Join(shown, " "))
		if len(r.State) < len(specs) {
			r.Reply.Incomplete, r.Reply.Missing = true, specs
			return nil
		}
		for _, m := range r.Messages {
			if name, to, set := strings.Cut(word(m), "="); set {
				i := slices.IndexFunc(specs, func(s remote.Spec) bool { return s.Name == name })
				r.Reply.Mutations = append(r.Reply.Mutations, remote.Mutation{
					Name: []byte(name), Payload: remote.Payload{Typename: []byte(specs[i].Typename), Value: []byte(to)},
				})
			}
		}
		return nil
	}}
}

func tell(t *testing.T, e *engine.Engine, id, word string) {
	t.Helper()
	if err := farTell.To(id).Submit(t.Context(), e, word); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// The state of a function elsewhere is known by name too. As in StateFun the first request after a start shows
// none, and the function declares what it has now; in another order, with more, with less.
func TestRecoverRemoteState(t *testing.T) {
	spec := func(name, typename string) remote.Spec { return remote.Spec{Name: name, Typename: typename} }
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		l := newLife(t)
		far := func(specs ...remote.Spec) engine.Module {
			return serve("far/*", remember(&heard, specs...), remote.Policy{BrokenMax: 1})
		}
		e := l.start(engine.Config{}, far(spec("n", "t/n"), spec("text", "t/text")))
		tell(t, e, "a", "n=1")
		tell(t, e, "a", "text=x")
		tell(t, e, "b", "text=y")
		wantItems(t, &heard, "a: ", "a: n text", "a: n=1 text", "b: n text")

		e = l.restart(engine.Config{Shards: 5}, far(spec("text", "t/text"), spec("more", "t/more")))
		tell(t, e, "a", "more=z")
		tell(t, e, "a", "?")
		tell(t, e, "b", "?")
		// In the order of their numbers. What the function does not declare it is not shown.
		wantItems(t, &heard, "a: ", "a: text=x more", "a: text=x more=z", "b: ", "b: text=y more")

		e = l.restart(engine.Config{Shards: 1}, serve("far/echo", remember(&heard, spec("n", "t/n"), spec("text", "t/text"), spec("more", "t/more")), remote.Policy{}))
		tell(t, e, "a", "?")
		wantItems(t, &heard, "a: ", "a: n=1 text=x more=z")

		e = l.restart(engine.Config{}, far(spec("n", "t/other")))
		tell(t, e, "a", "?")
		wantItems(t, &heard, "a: ")
		if got := suspended(e); len(got) != 1 || !strings.Contains(got[0], `it declares the state "n" as a t/other, which has been a t/n: to change its type, rename it`) {
			t.Errorf("suspended are %q", got)
		}

		e = l.restart(engine.Config{}, far(spec("n", "t/n"))) // It has been mended: what has waited goes on when told.
		if got := suspended(e); len(got) != 1 || !strings.HasPrefix(got[0], "far/echo/a: ") {
			t.Errorf("suspended are %q", got)
		}
		if err := e.Resume(t.Context(), farTell.To("a").Address()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantItems(t, &heard, "a: ", "a: n=1")
	})
}

// Values that expire do so at their time, and not before, also across a restart and though nobody has declared
// them since (P37).
func TestRecoverRemoteExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		specs := []remote.Spec{
			{Name: "w", Typename: "t/w", Expiry: remote.AfterWrite, TTL: 60_000},
			{Name: "i", Typename: "t/i", Expiry: remote.AfterInvoke, TTL: 120_000},
			{Name: "n", Typename: "t/n"},
		}
		module := serve("far/*", remember(&heard, specs...), remote.Policy{})
		l := newLife(t)
		e := l.start(engine.Config{}, module)
		for _, word := range []string{"w=1", "i=2"} {
			tell(t, e, "a", word)
			tell(t, e, "gone", word)
		}
		tell(t, e, "a", "n=3")
		heard.take()
		time.Sleep(30 * time.Second)
		e = l.restart(engine.Config{}, module)
		time.Sleep(29 * time.Second)
		tell(t, e, "a", "?")
		wantItems(t, &heard, "a: ", "a: w=1 i=2 n=3")
		time.Sleep(2 * time.Second)
		tell(t, e, "a", "?")
		wantItems(t, &heard, "a: w i=2 n=3")

		e = l.restart(engine.Config{}, module)
		time.Sleep(60 * time.Second) // Of "gone" nothing is left, though it has not been declared.
		checkpoint(t, e)
		if s, err := e.State(t.Context(), farTell.To("gone").Address()); err != nil || len(s.Values) != 0 {
			t.Errorf("what has expired is %q, %v", show(s), err)
		}
		var left int
		for _, s := range e.Stats().Shards {
			left += int(s.Instances)
		}
		if left != 1 {
			t.Errorf("%d instances are left; want 1", left)
		}
		tell(t, e, "a", "?")
		wantItems(t, &heard, "a: ", "a: w i=2 n=3")
	})
}

// A function type that has turned up in a namespace is there after a restart, with what waits for it, and does
// not count as one that strangers have made up since.
func TestRecoverTurnedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 256
		var heard list[string]
		s := server(func(r *remote.Request, m remote.Message) {
			heard.add(r.Target.Name + "/" + string(r.ID) + ": " + word(m))
		})
		down := &hung{}
		l := newLife(t)
		sends := probeModule(stateless(func(ctx *engine.Context, word string) error {
			ctx.Send(engine.Address{Type: typ("many", word), ID: "x"}, encoded(t, "hi"))
			return nil
		}), engine.Retries(0))
		e := l.start(engine.Config{}, serve("many/*", down, remote.Policy{}), sends)
		for n := range most {
			submit(t, e, "p", fmt.Sprint("t", n))
		}
		down.heal(func(r *remote.Request) { r.Done(&remote.Error{Reason: remote.Unreachable}) })
		e = l.restart(engine.Config{Shards: 1}, serve("many/*", s, remote.Policy{}), sends)
		synctest.Wait()
		if got := heard.take(); len(got) != most {
			t.Fatalf("%d requests after the restart; want %d", len(got), most)
		}
		for _, name := range []string{"new", "t7"} {
			submit(t, e, "p", name)
			wantItems(t, &heard, name+"/x: hi")
		}
	})
}

// A function may move: what it has kept in this process it is shown elsewhere, and the other way round.
func TestRecoverMovedFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		l := newLife(t)
		here := keeps(called(pair, "pair"), called(text, "text"))
		e := l.start(engine.Config{}, here)
		told(t, e, "a", "text=x")
		told(t, e, "a", "pair=yz")

		specs := []remote.Spec{{Name: "text", Typename: engine.String.Typename()}, {Name: "new", Typename: "t/new"}}
		e = l.restart(engine.Config{Shards: 1}, serve("test/*", remember(&heard, specs...), remote.Policy{}))
		for _, word := range []string{"new=1", "text=\n\x01y", "?"} { // As a text is written on the wire.
			if err := keep.To("a").Submit(t.Context(), e, word); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		wantItems(t, &heard, "a: ", "a: text=\n\x01x new", "a: text=\n\x01x new=1", "a: text=\n\x01y new=1")

		e = l.restart(engine.Config{}, here)
		if got := told(t, e, "a", "?"); got != "pair=[2 -1] text=y" {
			t.Errorf("it keeps %q", got)
		}
	})
}
