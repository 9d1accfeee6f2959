// SPDX-License-Identifier: Apache-2.0

// Package inspect reads the committed checkpoint of a backend, without an engine: for tools, for tests, and for
// people who want to know what is there.
//
//	cp, err := inspect.Read(ctx, store)
//	for in, err := range cp.Instances(ctx) {
//		fmt.Println(in.Address, in.Values)
//	}
//
// Numbers have become names: what is shown does not depend on the number of shards, or on the order in which
// function types became known. Nothing is written. docs/formats/entries.md describes what is read.
package inspect
