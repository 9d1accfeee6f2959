// SPDX-License-Identifier: Apache-2.0

// Command loadgen puts load on Millrace and measures what it does with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // The run failed, or its counters do not add up.
	exitUsage  = 2 // Nothing was started.
)

// Set by -ldflags "-X main.version=… -X main.commit=…"; what the build has recorded serves otherwise.
var version, commit string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process: a server may take as long as --timeout to answer.
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is the error of a run that was started. All other errors are about the command line.
type failure struct{ error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	root := &cobra.Command{
		Use:           "loadgen",
		Short:         "Put load on Millrace and measure what it does with it",
		Version:       buildVersion() + " " + buildCommit(),
		SilenceUsage:  true, // A page of flags would hide the error above it.
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(engineCommand(), httpCommand(), remoteCommand(), remoteServerCommand())
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "error:", err)
	if errors.As(err, new(failure)) {
		return exitFailed
	}
	fmt.Fprintf(stderr, "try: %s --help\n", cmd.CommandPath())
	return exitUsage
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func buildCommit() string {
	if commit != "" {
		return commit
	}
	revision, modified := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "-modified"
			}
		}
	}
	return revision + modified
}
