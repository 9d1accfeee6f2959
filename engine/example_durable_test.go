// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
)

// What has been asked durably is there when the process has died and another goes on with its store. The model of
// a backend stands here for one on a disk.
func ExampleDurable() {
	ctx := context.Background()
	module := engine.Module{Name: "counters", Bind: func(b *engine.Binder) error {
		engine.Bind(b, counterFunction, func(s *engine.Schema) Counter {
			return &counter{engine.NewValue(s, "sum", engine.Int64)}
		})
		return nil
	}}
	options := backend.Options{Application: "fruit", KeyGroups: 128}
	first, err := backendtest.NewModel(options)
	if err != nil {
		log.Fatal(err)
	}
	config := engine.Config{Application: "fruit", Logger: slog.New(slog.DiscardHandler)}
	config.Backend = first
	e, err := engine.Open(ctx, config, module)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(Add.Ask(ctx, e, "apples", 2, engine.Durable()))

	second, err := first.Reopen(options) // As after kill -9.
	if err != nil {
		log.Fatal(err)
	}
	config.Backend = second
	again, err := engine.Open(ctx, config, module)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(Add.Ask(ctx, again, "apples", 1))
	fmt.Println(again.Close(ctx))
	_ = e.Close(ctx) // Its store is another's now.
	// Output:
	// 2 <nil>
	// 3 <nil>
	// <nil>
}
