// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

func stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show the state of an address",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("want get") },
	}
	cmd.AddCommand(stateGetCommand())
	return cmd
}

func stateGetCommand() *cobra.Command {
	var l look
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "get ADDRESS",
		Short: "Show the state of an address",
		Long: `Show the state values of an address, <namespace>/<type>/<id>, as of the newest committed epoch, all of the same one:
first the epoch, then one value a line with its name, its typename and what it is. Text is in quotes, and what is no
text in base64. An engine with --backend memory keeps no epochs: it shows what there is now, once the function that is
running has returned; the first line is then "now", and "epoch" 0.

With --json one object goes to stdout:
{"address":{"namespace","type","id"},"epoch","states":[{"name","typename","bytes","text","expires_at_ms"}]}
"bytes" are base64, "text" is null where they are no text, "expires_at_ms" is null for what does not expire; "id_bytes" is
the id in base64 where that is no UTF-8.
` + lookHelp + `
Exit code 0: shown, even if there is no state; 1: refused, nobody answers, or there is no state of the name that --name
gives; 2: the command line is wrong, or the store is not there or another application's.
` + askSettingsHelp,
		Example: `  millrace state get shop/cart/17
  millrace state get shop/cart/17 --name items --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := statefun.ParseAddress(args[0])
			if err != nil {
				return err
			}
			return l.do(cmd, func(ctx context.Context, in at) error {
				s, err := in.State(ctx, address)
				if err != nil {
					return err
				}
				if cmd.Flags().Changed("name") {
					s.States = slices.DeleteFunc(s.States, func(v store.StateValue) bool { return v.Name != name })
					if len(s.States) == 0 {
						return fmt.Errorf("%q has no state %q as of %s", clip(args[0]), clip(name), asOf(s))
					}
				}
				if asJSON {
					return writeJSON(cmd, s)
				}
				out := &printer{w: cmd.OutOrStdout()}
				out.printf("%s\n", asOf(s))
				for _, v := range s.States {
					out.printf("%q %q %s", v.Name, v.Typename, readable(v))
					if at, ok := v.Expiring(); ok {
						out.printf(" expires %s", at.Format(time.RFC3339Nano))
					}
					out.printf("\n")
				}
				return out.err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "only the state value of this `name`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	l.flags(cmd)
	return cmd
}

// asOf says when the state was so: where nothing is kept, there is only what is.
func asOf(s store.State) string {
	if s.Epoch == 0 {
		return "now"
	}
	return fmt.Sprintf("epoch %d", s.Epoch)
}

// readable is a value on one line: nothing in it moves a cursor.
func readable(v store.StateValue) string {
	if v.Text == nil {
		return "base64:" + base64.StdEncoding.EncodeToString(v.Bytes)
	}
	return fmt.Sprintf("%q", *v.Text)
}
