// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/millrace-io/millrace/engine/internal/clock"
)

type orders map[string]int

// Step has everything that a pure function must not have, beside what it may.
func Step(now clock.Instant, r *rand.Rand, counts orders, list []int, in <-chan int) error { // want "may not have channels"
	total := rand.IntN(3) + r.IntN(3) // want "may not use rand.IntN: the generator is injected"
	for range list {
		total++
	}
	for range counts { // want "may not range over a map"
		total++
	}
	go clear(counts) // want "may not start a goroutine"
	select {         // want "may not select"
	case n := <-in: // want "may not receive"
		total += n
	default:
	}
	if clock.Now() > now { // want "may not use clock.Now: the clock is read by the driver"
		fmt.Println(total) // want "may not use fmt.Println"
		println(total)     // want "may not print"
		return errors.New("late")
	}
	return fmt.Errorf("%d", total)
}
