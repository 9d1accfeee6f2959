// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// Session is what may be asked of a session.
type Session interface {
	Visit(*engine.Context, string) (int64, error)
}

// The session and its one message, which is answered with how many pages have been visited.
var (
	sessionFunction = engine.Define[Session]("example/session")
	Visit           = engine.Answer(sessionFunction, engine.String, engine.Int64, Session.Visit)
)

type session struct {
	visits engine.Value[int64]
	last   engine.Value[string]
}

func (s *session) Visit(ctx *engine.Context, page string) (int64, error) {
	s.last.Set(ctx, page)
	visits := s.visits.Edit(ctx)
	*visits++
	return *visits, nil
}

// A visitor who has not come for half an hour begins anew; of one who does not come back within a day nothing is
// left.
func ExampleAfterInvoke() {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{}, engine.Module{Name: "sessions", Bind: func(b *engine.Binder) error {
		engine.Bind(b, sessionFunction, func(s *engine.Schema) Session {
			return &session{
				visits: engine.NewValue(s, "visits", engine.Int64, engine.AfterInvoke(30*time.Minute)),
				last:   engine.NewValue(s, "last", engine.String),
			}
		}, engine.IdleAfter(24*time.Hour))
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, page := range []string{"/", "/offers"} {
		fmt.Println(Visit.Ask(ctx, e, "Bob", page))
	}
	fmt.Println(e.Close(ctx))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// <nil>
}
