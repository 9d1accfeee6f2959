// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// transfer opens the accounts and moves money between them at random. A third of it is sent late.
func transfer(ctx context.Context, e *engine.Engine, accounts, rate int) {
	if rate < 1 || accounts < 1 {
		return
	}
	const every = 10 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	account := func() string { return strconv.Itoa(rand.IntN(accounts)) }
	for due := 0.0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for due += float64(rate) * every.Seconds(); due >= 1; due-- {
			t := Transfer{To: account(), Amount: 1 + rand.Int64N(100), Late: rand.IntN(3) == 0}
			err := transfers.To(account()).Submit(ctx, e, t)
			if ctx.Err() != nil || errors.Is(err, engine.ErrClosing) {
				return
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "bank: transfer:", err)
			}
		}
	}
}
