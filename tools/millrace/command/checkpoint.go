// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/tools/millrace/store"
)

func checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Show what is stored, or have it stored now",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("want list, inspect or create") },
	}
	cmd.AddCommand(checkpointListCommand(), checkpointInspectCommand(), checkpointCreateCommand())
	return cmd
}

func checkpointListCommand() *cobra.Command {
	var l look
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the checkpoints that a store keeps",
		Long: `List the checkpoints that a store keeps, one a line, the newest first. A store keeps one, or none if it is new.
An engine with --backend memory keeps none: it answers with exit code 1.

With --json a list goes to stdout:
[{"epoch","generation","created_at_ms","instances","in_flight","timers","outbox","bytes"}]
"instances" have state, "in_flight" are messages that have not been run, "timers" are delayed messages, "outbox" are records
of egresses that have not been delivered, "bytes" are those of all keys and values.
` + lookHelp + `
Exit code 0: listed, even if there is none; 1: refused, or nobody answers; 2: the command line is wrong, or the store
is not there or another application's.
` + askSettingsHelp,
		Example: `  millrace checkpoint list
  millrace checkpoint list --backend file:///var/lib/shop --app shop --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.do(cmd, func(ctx context.Context, in at) error {
				list, err := in.Checkpoints(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd, list)
				}
				out := &printer{w: cmd.OutOrStdout()}
				for _, c := range list {
					out.printf("epoch %d, generation %d, %s: %d instances, %d in flight, %d timers, %d in the outbox, %d bytes\n",
						c.Epoch, c.Generation, c.CreatedAt().Format(time.RFC3339Nano), c.Instances, c.InFlight, c.Timers, c.Outbox, c.Bytes)
				}
				return out.err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON list")
	l.flags(cmd)
	return cmd
}

func checkpointInspectCommand() *cobra.Command {
	var l look
	var q store.Question
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Read the newest checkpoint",
		Long: `Read the newest checkpoint, all of it, and say what is in it. An engine with --backend memory keeps none: it answers with
exit code 1.

With --json one object goes to stdout: what millrace checkpoint list has, and "state_hash", which is the same for the same
state of the same addresses, whatever the number of shards and the order in which it was stored; with --sum also "sum",
with --sum-in-flight also "sum_in_flight". Values of --sum are io.statefun.types/int or long, or of another type that is
written as these are, or as Go's engine.Flat writes int32 and int64.
` + lookHelp + `
Exit code 0: read; 1: refused, nobody answers, or there is no checkpoint yet; 2: the command line is wrong, or the
store is not there or another application's.
` + askSettingsHelp,
		Example: `  millrace checkpoint inspect --json
  millrace checkpoint inspect --backend file:///var/lib/bank --app bank --sum bank/account:balance`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.Validate(); err != nil {
				return err
			}
			return l.do(cmd, func(ctx context.Context, in at) error {
				i, err := in.Inspect(ctx, q)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd, i)
				}
				out := &printer{w: cmd.OutOrStdout()}
				out.printf("epoch         %d\ngeneration    %d\ncreated       %s\n", i.Epoch, i.Generation, i.CreatedAt().Format(time.RFC3339Nano))
				out.printf("instances     %d\nin flight     %d\ntimers        %d\noutbox        %d\n", i.Instances, i.InFlight, i.Timers, i.Outbox)
				out.printf("bytes         %d\nstate hash    %s\n", i.Bytes, i.StateHash)
				if i.Sum != nil {
					out.printf("sum           %v\n", i.Sum)
				}
				if i.SumInFlight != nil {
					out.printf("sum in flight %v\n", i.SumInFlight)
				}
				return out.err
			})
		},
	}
	set := cmd.Flags()
	set.BoolVar(&asJSON, "json", false, "as one JSON object")
	set.StringVar(&q.Sum, "sum", "", "add up an integer state, `NS/TYPE:STATE`, over all addresses")
	set.StringVar(&q.SumInFlight, "sum-in-flight", "", "add up the messages of a `typename` that are in flight or delayed")
	l.flags(cmd)
	return cmd
}

func checkpointCreateCommand() *cobra.Command {
	var a ask
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Have a running engine take a checkpoint now",
		Long: `Have a running engine take a checkpoint now, and return when it is committed. Everything that the engine had accepted
before is in it, or in flight in it. An engine with --backend memory keeps none, and refuses.

With --json one object goes to stdout: {"epoch","generation","created_at_ms"}.

Exit code 0: committed; 1: refused, or nobody answers; 2: the command line is wrong.
` + askSettingsHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, ctx, cancel, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			made, err := c.Checkpoint(ctx)
			switch {
			case err != nil:
				return failed(err)
			case asJSON:
				return writeJSON(cmd, made)
			}
			out := &printer{w: cmd.OutOrStdout()}
			if out.printf("epoch %d\n", made.Epoch); out.err != nil {
				return failed(out.err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	a.flags(cmd)
	return cmd
}
