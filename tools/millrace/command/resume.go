// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/statefun"
)

func suspendedCommand() *cobra.Command {
	var a ask
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "suspended",
		Short: "List the suspended addresses of a running engine",
		Long: `List the suspended addresses of a running engine, one a line, those first that have been suspended longest: the
address in quotes, since when, and the error that its last attempt ended with. They keep their messages until
they are resumed: see millrace resume --help.

With --json one object goes to stdout: {"addresses":[{"namespace","type","id","since_ms","error"}],"more"}; "id_bytes" is
the id in base64 where that is no UTF-8. At most 10,000 are listed; "more" is how many are not.

Exit code 0: listed, even if there are none; 1: refused, or nobody answers; 2: the command line is wrong.
` + askSettingsHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, ctx, cancel, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			list, err := c.Suspended(ctx)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return writeJSON(cmd, list)
			}
			out := &printer{w: cmd.OutOrStdout()}
			for _, s := range list.Addresses {
				out.printf("%q %s %q\n", s.Address().String(), s.Since().Format(time.RFC3339), s.Error)
			}
			if out.err != nil {
				return failed(out.err)
			}
			if list.More > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", list.More)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	a.flags(cmd)
	return cmd
}

func resumeCommand() *cobra.Command {
	var a ask
	var skip bool
	cmd := &cobra.Command{
		Use:   "resume ADDRESS",
		Short: "Have suspended addresses go on",
		Long: `Have a suspended address of a running engine go on: its first message is tried again, or given up with --skip.
Nothing happens at an address that is not suspended. ADDRESS is <namespace>/<type>/<id>, or <namespace>/<type>/* for
all suspended addresses of that type; then the command says how many they are. millrace suspended lists them.

Exit code 0: the engine has it; 1: refused, or nobody answers; 2: the command line is wrong.
` + askSettingsHelp,
		Example: `  millrace resume shop/cart/17
  millrace resume 'shop/cart/*' --skip`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := statefun.ParseAddress(args[0])
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			if address.ID != "*" {
				err = c.Resume(ctx, address, skip)
			} else {
				var n int
				if n, err = c.ResumeAll(ctx, address.Type, skip); err == nil {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), allResumed(n, skip))
				}
			}
			if err != nil {
				return failed(fmt.Errorf("resume %q: %w", clip(args[0]), err))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&skip, "skip", false, "give up the message that the address is suspended for")
	a.flags(cmd)
	return cmd
}

func allResumed(n int, skip bool) string {
	verb := "resumed "
	if skip {
		verb = "skipped a message at "
	}
	return verb + counted(n, "address", "es")
}
