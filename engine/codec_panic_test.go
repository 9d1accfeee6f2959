// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
)

type brittle interface {
	Take(*engine.Context, int) error
}

type brittleFunc struct{}

func (brittleFunc) Take(*engine.Context, int) error { return nil }

var (
	brittleType = engine.NewType("test/brittle", func(dst []byte, _ int) ([]byte, error) { return dst, nil },
		func(b []byte) (int, error) { return int(b[0]), nil }) // Panics for an empty message.
	brittleFunction = engine.Define[brittle]("test/brittle")
	brittleTake     = engine.Accept(brittleFunction, brittleType, brittle.Take)
)

// A codec that panics refuses what has come from outside, by a door or from a function elsewhere; the process
// and the shard go on.
func TestCodecPanicsOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		to := brittleTake.To("a").Address()
		e := open(t, engine.Config{Shards: 1}, bind(func(b *engine.Binder) {
			engine.Bind(b, brittleFunction, func(*engine.Schema) brittle { return brittleFunc{} })
			b.Door(d)
		}), serve("far/echo", server(func(r *remote.Request, _ remote.Message) {
			r.Reply.Messages = append(r.Reply.Messages, remote.Outgoing{
				To:      remote.To{Namespace: []byte(to.Type.Namespace), Name: []byte(to.Type.Name), ID: []byte("a")},
				Payload: remote.Payload{Typename: []byte("test/brittle")},
			})
		}), remote.Policy{BrokenMax: 1}))
		run(t, e)
		if err := d.in.Send(t.Context(), to, engine.TypedValue{Typename: "test/brittle"}, connector.Delivery{}); !errors.Is(err, connector.ErrMalformed) {
			t.Errorf("Send: %v", err)
		}
		if err := farTell.To("a").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := functionStats(t, e, "far/echo"); s.Failures != 1 || s.Suspended != 1 {
			t.Errorf("the sender: %+v", s)
		}
	})
}
