// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// durableName selects the comparison of durable replies.
const durableName = "durable"

// durable runs cmd/durable, which needs node and npm, and returns its table, or one line that says why there is
// none.
func durable(ctx context.Context, dir string, o options) (text string, err error) {
	for _, command := range []string{"node", "npm"} {
		if _, err := exec.LookPath(command); err != nil {
			return fmt.Sprintf("durable replies beside Restate: skipped: %v\n", err), nil
		}
	}
	command, err := rounds.Build(ctx, dir, "github.com/millrace-io/millrace/benchmarks/cmd/durable")
	if err != nil {
		return "durable replies beside Restate: not built\n", err
	}
	duration := max(time.Second, time.Duration(o.scale*float64(10*time.Second)))
	run := exec.CommandContext(ctx, command, "-rounds", strconv.Itoa(o.rounds), "-duration", duration.String(), "-out", o.out)
	table, err := rounds.Output(run)
	if err != nil {
		return "durable replies beside Restate: failed\n", err
	}
	return "HTTP request to durable reply, 64 connections:\n\n" + string(table), nil
}
