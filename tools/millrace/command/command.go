// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/kind"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // A flag, a setting or a file is wrong, and nothing was started.
)

// started is when the process was, near enough: imported packages are initialised before.
var started = time.Now()

// New returns the millrace command, whose module files may use the given kinds.
func New(kinds ...kind.Kind) *cobra.Command {
	root := &cobra.Command{
		Use:           "millrace",
		Short:         "Run stateful functions",
		SilenceUsage:  true, // A page of flags would hide the error above it.
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(kinds), validateCommand(kinds), sendCommand(), stateCommand(), checkpointCommand(),
		suspendedCommand(), resumeCommand(), versionCommand())
	Stamp(root, "", "")
	return root
}

// Execute runs the command line of this process and returns its exit code: 0 done, 1 failed, 2 usage or
// invalid input. The first SIGINT or SIGTERM ends what is running in good order; another one, a little later,
// ends the process at once, with 1.
func Execute(root *cobra.Command) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		first := time.Now()
		cancel()
		for range signals {
			if time.Since(first) > sameSignal {
				tellOfEnd()
				os.Exit(exitFailed)
			}
		}
	}()
	return execute(ctx, root)
}

// sameSignal is how long further signals are the first one come again: a terminal and the programs between
// it and the process, such as timeout and make, each send what is meant as one.
const sameSignal = 100 * time.Millisecond

// tellOfEnd logs that the process is ended by a second signal. It waits for the log no longer than it takes to
// write a line: whoever reads it may be what hangs.
func tellOfEnd() {
	told := make(chan struct{})
	go func() {
		slog.Warn("a second signal: the process ends at once, and what was under way is cut off")
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(time.Second):
	}
}

func execute(ctx context.Context, root *cobra.Command) int {
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	f, failed := errors.AsType[failure](err)
	if !failed || !f.told {
		fmt.Fprintln(root.ErrOrStderr(), "error:", err)
	}
	if failed {
		return f.code
	}
	fmt.Fprintln(root.ErrOrStderr(), "try:", cmd.CommandPath(), "--help")
	return exitUsage
}

// failure is an error with an exit code of its own. All other errors are about the command line.
type failure struct {
	error
	code int
	told bool // Whoever runs the command has been told.
}

func (f failure) Unwrap() error { return f.error }

// failed is what was started and did not end well.
func failed(err error) error { return failure{err, exitFailed, false} }
