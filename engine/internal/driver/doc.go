// SPDX-License-Identifier: Apache-2.0

// Package driver is everything around the shards that moves: the goroutine that runs a shard ([Loop]),
// the one that pumps a source into them ([Pump]), the one that ends epochs ([Epochs]) and those that
// carry records out ([Outflow]). Each has a Turn that never waits, so that a simulation can run all of
// them in one goroutine, and a Run that calls it and sleeps in between.
package driver
