// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
)

// Open says everything that is wrong with endpoints at once: alone, among each other, and beside functions.
func TestRemoteOpenRefuses(t *testing.T) {
	fine := server(echo)
	_, err := engine.Open(t.Context(), engine.Config{Logger: quiet},
		named("nil", serve("a/nil", nil, remote.Policy{})),
		named("policy", serve("a/policy", fine, remote.Policy{BrokenMax: -1, InFlightMax: 1 << 20, Call: time.Nanosecond})),
		named("one", serve("b/*", fine, remote.Policy{})), named("two", serve("b/*", fine, remote.Policy{})),
		named("three", serve("c/exact", fine, remote.Policy{})), named("four", serve("c/exact", fine, remote.Policy{})),
		named("five", serve("test/probe", fine, remote.Policy{})), named("six", probeModule(sayAll)),
		named("seven", serve("test/door", fine, remote.Policy{})), named("eight", bind(func(b *engine.Binder) { b.Door(&door{}) })),
		named("nine", serve("d/*", fine, remote.Policy{Exhausted: remote.DeadLetter, DeadLetter: "test/dead"})),
		named("ten", serve("e/*", fine, remote.Policy{Exhausted: remote.DeadLetter})),
		named("eleven", bind(func(b *engine.Binder) {
			b.Require(farFunction)
			b.Sink("no-egress", connector.SinkFunc(func(connector.Record) error { return nil }))
		})),
	)
	if err == nil {
		t.Fatal("it opens")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		"module nil: endpoint a/nil: the invoker is nil",
		"endpoint a/policy: InFlightMax is 1048576: want 1 to 65536",
		"Call is 1ns: want at least 1ms",
		"BrokenMax is -1: want at least 1",
		"b/* is served by an endpoint of module one and by one of module two",
		"c/exact is bound by module three and by module four",
		"test/probe is bound by module six and by module five",
		"test/door is bound by module seven, but is the type of callers from outside",
		"endpoint d/*: no sink is bound to the egress test/dead of its dead letters",
		"endpoint e/*: DeadLetter is : want an egress, with Exhausted == DeadLetter only",
		"module eleven requires far/echo, which no module binds",
		"module eleven: egress: ",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
			t.Errorf("no line says %q", want)
		}
	}
	if len(lines) != 12 {
		t.Errorf("%d lines: %v", len(lines), err)
	}
}

// observer keeps what it is told.
type observer struct{ list[observed] }

type observed struct {
	typ    string
	took   time.Duration
	reason string // "", or of an error.
}

func (o *observer) Invoked(t engine.FunctionType, took time.Duration, err error) {
	seen := observed{typ: t.String(), took: took}
	if e := (*remote.Error)(nil); errors.As(err, &e) {
		seen.reason = e.Reason.String()
	}
	o.add(seen)
}

// The observer is told of each attempt: how long it took, and how it ended. What counts as broken without
// the invoker's knowing is told as well.
func TestRemoteObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempt := 0
		s := &served{f: func(r *remote.Request) error {
			time.Sleep(time.Duration(attempt+1) * time.Second)
			switch attempt++; attempt {
			case 1:
				return &remote.Error{Reason: remote.TimedOut}
			case 2, 3:
				r.Reply.Incomplete = true
				r.Reply.Missing = append(r.Reply.Missing, remote.Spec{Name: "n", Typename: []string{"test/a", "test/b"}[attempt-2]})
			}
			return nil
		}}
		o := &observer{}
		e := open(t, engine.Config{Observer: o}, serve("far/echo", s, remote.Policy{}))
		if err := farTell.To("a").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		closeEngine(t, e)
		wantItems(t, &o.list,
			observed{"far/echo", time.Second, "timed out"}, observed{"far/echo", 2 * time.Second, ""},
			observed{"far/echo", 3 * time.Second, remote.Broken.String()}, observed{"far/echo", 4 * time.Second, ""})
		if s := functionStats(t, e, "far/echo"); s.In != 1 || s.Failures != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// What a function may declare as state is bounded, and a declaration that is wrong takes nothing in.
func TestRemoteStates(t *testing.T) {
	spec := func(name, typename string) remote.Spec { return remote.Spec{Name: name, Typename: typename} }
	many := make([]remote.Spec, 1024)
	for i := range many {
		many[i] = spec(strings.Repeat("v", i%250+1)+string(rune('a'+i/250)), "t")
	}
	tests := []struct {
		name  string
		specs []remote.Spec
		err   string // "": it is fine.
	}{
		{"usual", []remote.Spec{spec("n", "test/n"), spec("m", "")}, ""},
		{"twice in one", []remote.Spec{spec("n", "test/n"), spec("n", "test/n")}, ""},
		{"as many as there can be", many[:1023], ""},
		{"too many", many, "it declares 1024 state values, with those that the store knows: at most 1023 are possible"},
		{"no name", []remote.Spec{spec("fine", "t"), spec("", "t")}, `it declares a state with the name ""`},
		{"no text", []remote.Spec{spec("\xff", "t")}, "it declares a state with the name"},
		{"a long name", []remote.Spec{spec(strings.Repeat("n", 256), "t")}, "want UTF-8 of 1 to 255 bytes"},
		{"a long typename", []remote.Spec{spec("n", strings.Repeat("n", 512))}, "want UTF-8 of at most 511 bytes"},
		{"no time", []remote.Spec{{Name: "n", Expiry: remote.AfterWrite}}, `it declares the state "n" to expire after 0 ms`},
		{"no such expiry", []remote.Spec{{Name: "n", Expiry: 7, TTL: 1}}, `it declares the state "n" to expire`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shown := -1
				s := &served{f: func(r *remote.Request) error {
					if shown = len(r.State); shown == 0 {
						r.Reply.Incomplete, r.Reply.Missing = true, tt.specs
					}
					return nil
				}}
				log := &failureLog{}
				e := open(t, engine.Config{Logger: slog.New(log)}, serve("far/echo", s, remote.Policy{BrokenMax: 1}))
				if err := farTell.To("a").Submit(t.Context(), e, "x"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				failures := log.take()
				if tt.err == "" {
					distinct := slices.CompactFunc(slices.Clone(tt.specs), func(a, b remote.Spec) bool { return a == b })
					if len(failures) != 0 || shown != len(distinct) {
						t.Errorf("%v; %d values are shown of %d", failures, shown, len(distinct))
					}
					return
				}
				if len(failures) != 1 || !strings.Contains(failures[0].err.Error(), tt.err) || shown != 0 {
					t.Errorf("%v; %d values are shown", failures, shown)
				}
			})
		})
	}
}
