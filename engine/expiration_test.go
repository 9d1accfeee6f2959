// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// lasting declares a state value that expires, and is shown as fmt does.
func lasting[T any](name string, t engine.Type[T], parse func(string) T, ttl ...engine.Expiration) func(*engine.Schema) kept {
	return func(s *engine.Schema) kept {
		v := engine.NewValue(s, name, t, ttl...)
		return kept{
			name: name,
			set: func(ctx *engine.Context, w string) {
				if edit, ok := strings.CutPrefix(w, "edit"); ok { // What expired is not what is edited.
					if p := v.Edit(ctx); fmt.Sprint(*p) == fmt.Sprint(*new(T)) {
						*p = parse(edit)
					}
					return
				}
				v.Set(ctx, parse(w))
			},
			drop: v.Clear,
			show: func(ctx *engine.Context) (string, bool) {
				got, ok := v.Lookup(ctx)
				if fmt.Sprint(got) != fmt.Sprint(v.Get(ctx)) {
					return "Lookup and Get differ", true
				}
				return fmt.Sprint(got), ok
			},
		}
	}
}

func parseInt(w string) (n int64) {
	_, _ = fmt.Sscan(w, &n)
	return n
}

// After d, to the millisecond, a value is gone, however it is kept: counted from when it was last written, read,
// or from the last invocation.
func TestExpiration(t *testing.T) {
	const d = 60 * time.Millisecond // Too short to be rounded.
	moves := map[string]func(time.Duration) engine.Expiration{
		"write": engine.AfterWrite, "read": engine.AfterReadOrWrite, "invoke": engine.AfterInvoke,
	}
	for mode, after := range moves {
		for form, declare := range map[string]func(*engine.Schema) kept{
			"number": lasting("v", engine.Int64, parseInt, after(d)), "text": lasting("v", engine.String, strings.Clone, after(d)),
		} {
			t.Run(mode+" "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := open(t, engine.Config{}, keeps(declare, called(number, "other")))
					wants := func(word, want string) {
						t.Helper()
						if got := told(t, e, "a", word); got != want {
							t.Errorf("%s at %v: %q; want %q", word, time.Now().UnixMilli()%1000, got, want)
						}
					}
					wants("v=5", "v=5")
					time.Sleep(d - time.Millisecond)
					wants("?", "v=5") // A read, and an invocation.
					time.Sleep(time.Millisecond)
					if mode == "write" {
						wants("?", "")
						wants("v=5", "v=5")
					} else {
						wants("?", "v=5")
					}
					time.Sleep(d - time.Millisecond)
					wants("v=6", "v=6") // Written again.
					time.Sleep(d - time.Millisecond)
					wants("v=edit7", "v=6") // Edited, too.
					time.Sleep(d - time.Millisecond)
					wants("other=1", "v=6 other=1")
					time.Sleep(d)
					wants("v=edit7", "v=7 other=1") // It began as zero.
					wants("other", "v=7")
					time.Sleep(d - time.Millisecond)
					if n := instances(e); n != 1 {
						t.Errorf("%d instances a millisecond early", n)
					}
					time.Sleep(time.Millisecond)
					synctest.Wait()
					if n := instances(e); n != 0 { // Nobody had to look.
						t.Errorf("%d instances when all is over", n)
					}
				})
			})
		}
	}
}

func instances(e *engine.Engine) (n int64) {
	for _, s := range e.Stats().Shards {
		n += s.Instances
	}
	return n
}

// An address that has not been messaged for long enough is a new one for the next message, here and elsewhere.
func TestIdleAfter(t *testing.T) {
	const d = 60 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, keeperModule(keeping(called(number, "n"), called(text, "text")), engine.IdleAfter(d)))
		for _, step := range []struct {
			after time.Duration
			word  string
			want  string
		}{{0, "n=1", "n=1"}, {d - time.Millisecond, "text=x", "n=1 text=x"}, {d - time.Millisecond, "?", "n=1 text=x"}, {d, "?", ""}, {0, "n=2", "n=2"}} {
			time.Sleep(step.after)
			if got := told(t, e, "a", step.word); got != step.want {
				t.Errorf("%q after %v: %q; want %q", step.word, step.after, got, step.want)
			}
		}
		time.Sleep(d)
		synctest.Wait()
		if n := instances(e); n != 0 {
			t.Errorf("%d instances when nobody comes", n)
		}
	})
}

// A restarted engine knows the time that is left: it goes on while none runs. The times may be others then.
func TestExpirationRecovers(t *testing.T) {
	declare := func(w, i time.Duration) engine.Module {
		return keeperModule(keeping(
			lasting("w", engine.Int64, parseInt, engine.AfterWrite(w)), lasting("i", engine.String, strings.Clone, engine.AfterInvoke(i)), called(number, "n"),
		), engine.IdleAfter(time.Hour))
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		e := l.start(engine.Config{}, declare(time.Minute, time.Second))
		began := time.Now()
		told(t, e, "a", "w=1")
		told(t, e, "a", "i=2")
		told(t, e, "a", "n=3")
		checkpoint(t, e)
		s, err := e.State(t.Context(), keeperAddress("a"))
		if err != nil || len(s.Values) != 3 || !s.Values[0].ExpiresAt.Equal(began.Add(time.Minute).Truncate(time.Millisecond)) || !s.Values[2].ExpiresAt.IsZero() {
			t.Errorf("%+v, %v", s, err)
		}
		for _, step := range []struct {
			sleep time.Duration
			w, i  time.Duration
			want  string
		}{
			{900 * time.Millisecond, time.Minute, time.Second, "w=1 i=2 n=3"},
			{1100 * time.Millisecond, time.Minute, time.Second, "w=1 n=3"},
			{56 * time.Second, time.Minute, time.Second, "w=1 n=3"},
			{3 * time.Second, 2 * time.Minute, time.Second, "w=1 n=3"},
			{58 * time.Second, 2 * time.Minute, time.Second, "w=1 n=3"},
			{time.Second, 2 * time.Minute, time.Second, "n=3"},
			{62 * time.Minute, time.Minute, time.Second, ""},
		} {
			closeEngine(t, l.e)
			time.Sleep(step.sleep)
			e = l.start(engine.Config{}, declare(step.w, step.i))
			if got := told(t, e, "a", "?"); got != step.want {
				t.Errorf("after %v: %q; want %q", time.Since(began), got, step.want)
			}
		}
	})
}

// What cannot be is refused when the engine opens, by name.
func TestExpirationRefused(t *testing.T) {
	value := func(ttl ...engine.Expiration) engine.Module {
		return probeModule(func(s *engine.Schema) probeFunc {
			engine.NewValue(s, "v", engine.Int64, ttl...)
			return nil
		})
	}
	other := time.Minute
	for _, tt := range []struct {
		module engine.Module
		want   string
	}{
		{value(engine.AfterWrite(0)), `test/probe: state value "v" expires after 0s: want at least 1ms`},
		{value(engine.AfterInvoke(-time.Second)), `test/probe: state value "v" expires after -1s: want at least 1ms`},
		{value(engine.AfterReadOrWrite(time.Millisecond - 1)), `test/probe: state value "v" expires after 999.999µs: want at least 1ms`},
		{value(engine.AfterWrite(time.Second), engine.AfterInvoke(time.Second)), `test/probe: state value "v" has 2 expirations: one is possible`},
		{probeModule(sayAll, engine.IdleAfter(0)), "module probe: test/probe: addresses are dropped after 0s: want at least 1ms"},
		{probeModule(sayAll, engine.IdleAfter(time.Millisecond-1)), "test/probe: addresses are dropped after 999.999µs: want at least 1ms"},
		{probeModule(func(s *engine.Schema) probeFunc {
			other += time.Minute
			engine.NewValue(s, "v", engine.Int64, engine.AfterWrite(other))
			return nil
		}), "test/probe: state declared for shard 1 differs from shard 0"},
		{bind(func(b *engine.Binder) {
			b.Endpoint(remote.Endpoint{Functions: remote.Pattern{Namespace: "test", Name: "far"}, Invoker: prompt{}, Policy: remote.Policy{IdleAfter: time.Microsecond}})
		}), "IdleAfter is 1µs: want 0 or at least 1ms"},
	} {
		e, err := engine.Open(t.Context(), engine.Config{Shards: 2, Logger: quiet}, tt.module)
		if err == nil {
			_ = e.Close(context.Background())
			t.Errorf("it opens; want %q", tt.want)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("nothing says %q in: %v", tt.want, err)
		}
	}
}
