// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/module"
)

func runCommand(kinds []kind.Kind) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run -m FILE [-m FILE…]",
		Short: "Run the application that module files describe",
		Long: `Run the application that module files describe, until SIGINT or SIGTERM. Then doors close, a last checkpoint
is taken, records leave, and the command ends; a second signal ends it at once. With --backend memory nothing survives
the process, so there what is inside comes to its end first. Checkpoints are taken, so that records and answers leave as
they do anywhere else; with memory:kept the newest is also kept, for millrace checkpoint, at a cost.

With --backend file:///directory an application goes on where it was, however it ended: with its state, its messages, its
delayed messages and the positions of its sources. Then --shards may be another number, and --app must be the same.

The log goes to stderr. The line "ready" says where the application and the admin address listen. Exit code 0:
ended in good order; 1: failed, or something was left when the drain timeout was over; 2: a setting or a module
file is wrong, or the store is another application's, and nothing was started.

The admin address has /healthz, /readyz and /metrics for everybody, and more for operators: see millrace send
--help, millrace state get --help, millrace checkpoint --help, millrace suspended --help and millrace resume --help. An address that is not on this machine alone needs an admin token file.

Functions of this process keep their state outside the Go heap, which --memory-limit does not count.
` + settingsHelp,
		Example: `  millrace run -m module.yaml
  millrace run -m module.yaml --backend file:///var/lib/shop --app shop
  millrace run -m functions.yaml -m http.yaml --admin unix:/run/millrace/admin --memory-limit 4GiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settle(cmd); err != nil {
				return err
			}
			return o.run(cmd, kinds)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(o.flags())
	configFlag(cmd.Flags())
	return cmd
}

func (o *options) run(cmd *cobra.Command, kinds []kind.Kind) error {
	config, location, err := o.config()
	if err != nil {
		return err
	}
	log := o.logger(cmd.ErrOrStderr())
	slog.SetDefault(log) // Connectors log there.
	config.Logger = log
	a := &application{
		options: o, config: config, location: location, build: buildOf(cmd),
		admin: admin.Config{Address: o.admin, TokenFile: o.tokenFile, Logger: log},
	}
	if err := a.admin.Validate(); err != nil {
		return oneLine(err)
	}
	var problems []kind.Problem
	a.Application, problems = module.Load(o.modules, module.Options{Kinds: kinds, Env: os.LookupEnv, Strict: o.strict})
	if a.Application == nil {
		return invalid(cmd, problems)
	}
	for _, p := range problems {
		log.Warn("module file", "at", p.Position.String(), "field", p.Field, "problem", p.Message, "hint", p.Hint)
	}
	if !a.HasIngress() {
		log.Warn("no module brings an ingress: messages come in by millrace send only")
	}
	a.config.QueueBytesMax = o.limitMemory()
	a.config.KeysBytesMax = 2 * a.config.QueueBytesMax // A quarter of the limit, if there is one.
	if err := a.serve(cmd.Context()); err != nil {
		log.Error("failed", "error", err)
		if errors.Is(err, backend.ErrMismatch) {
			return failure{err, exitUsage, true}
		}
		return failure{err, exitFailed, true}
	}
	return nil
}
