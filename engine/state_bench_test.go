// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// BenchmarkValue measures what a handler pays for one use of a number in its state, with and without a time
// after which it expires: all within one invocation.
func BenchmarkValue(b *testing.B) {
	uses := map[string]func(*testing.B, *engine.Context, engine.Value[int64]){
		"Get": func(b *testing.B, ctx *engine.Context, v engine.Value[int64]) {
			for b.Loop() {
				v.Get(ctx)
			}
		},
		"Set": func(b *testing.B, ctx *engine.Context, v engine.Value[int64]) {
			for b.Loop() {
				v.Set(ctx, 1)
			}
		},
		"Edit": func(b *testing.B, ctx *engine.Context, v engine.Value[int64]) {
			for b.Loop() {
				*v.Edit(ctx)++
			}
		},
	}
	for _, use := range []string{"Get", "Set", "Edit"} {
		for name, ttl := range map[string][]engine.Expiration{"never": nil, "read": {engine.AfterReadOrWrite(time.Hour)}} {
			b.Run("use="+use+"/expires="+name, func(b *testing.B) {
				done := make(chan struct{})
				e, err := engine.Open(b.Context(), engine.Config{Shards: 1, EpochInterval: engine.EpochsOff}, probeModule(func(s *engine.Schema) probeFunc {
					v := engine.NewValue(s, "n", engine.Int64, ttl...)
					return func(ctx *engine.Context, _ string) error {
						defer close(done)
						uses[use](b, ctx, v)
						return nil
					}
				}))
				if err != nil {
					b.Fatal(err)
				}
				if err := Do.To("a").Submit(b.Context(), e, ""); err != nil {
					b.Fatal(err)
				}
				<-done
				if err := e.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
