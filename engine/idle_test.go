// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// An application that does nothing commits nothing: epochs end on the interval only when there was something to do,
// and then all of it is committed.
func TestIdleCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		close(store.release)
		e := open(t, engine.Config{Application: "test", Backend: store, EpochInterval: 10 * time.Millisecond},
			probeModule(stateless(func(ctx *engine.Context, word string) error {
				if word == "later" {
					Do.To("q").SendAfter(ctx, time.Second, "now")
				}
				return nil
			})))
		commits := func(during time.Duration) int {
			store.begun.take()
			time.Sleep(during)
			synctest.Wait()
			return len(store.begun.take())
		}
		commits(time.Second)
		if n := commits(time.Minute); n != 0 {
			t.Errorf("%d commits while nothing happens", n)
		}
		submit(t, e, "p", "later")
		if n := commits(900 * time.Millisecond); n == 0 || n > 3 {
			t.Errorf("%d commits of one message", n)
		}
		if n := commits(200 * time.Millisecond); n == 0 || n > 3 {
			t.Errorf("%d commits when the delayed message has come due", n)
		}
		if n := commits(time.Minute); n != 0 {
			t.Errorf("%d commits afterwards", n)
		}
	})
}
