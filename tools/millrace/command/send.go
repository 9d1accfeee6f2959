// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/values"
)

// ask is what the commands that ask a running engine are told.
type ask struct {
	options
	timeout time.Duration
}

// timeoutMost is how long the admin address waits for the answer to a call.
const timeoutMost = 5 * time.Minute

// flags gives a command what it needs to find the engine.
func (a *ask) flags(cmd *cobra.Command) {
	a.pick(cmd.Flags(), "admin", "admin-token-file")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer, up to 5m")
	configFlag(cmd.Flags())
}

// client returns what asks the engine, and for how long.
func (a *ask) client(cmd *cobra.Command) (*admin.Client, context.Context, context.CancelFunc, error) {
	if err := settle(cmd); err != nil {
		return nil, nil, nil, err
	}
	if a.timeout <= 0 || a.timeout > timeoutMost {
		return nil, nil, nil, fmt.Errorf("timeout: %q, want more than 0s and at most 5m", a.timeout)
	}
	c, err := admin.NewClient(a.admin, a.tokenFile)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	return c, ctx, cancel, nil
}

// payload is the message that send is given.
type payload struct{ typename, json, text, file string }

func sendCommand() *cobra.Command {
	var a ask
	var p payload
	var call bool
	var d admin.Delivery
	cmd := &cobra.Command{
		Use:   "send ADDRESS --type TYPENAME",
		Short: "Send a message to a function of a running engine",
		Long: `Send one message, through the admin address of a running engine, to ADDRESS, which is
<namespace>/<type>/<id>. With --call, wait for the answer and print it. With --durable, wait until the message, and
the answer, are in a committed checkpoint. With --key, the message counts once within 24 hours, however often it is sent
with that key to that address: so it may be sent again when the outcome is not known.

Values of the built-in types (io.statefun.types/ string, int, long, bool, float, double) are wrapped and
unwrapped; the bytes of --file, and values of other types, are taken as they are.

Exit code 0: accepted, or answered; 1: refused, or nobody answers; 2: the command line is wrong.
` + askSettingsHelp,
		Example: `  millrace send example/person/Bob --string hello
  millrace send shop/cart/17 --type shop/Add --json '{"item": "tea"}'
  millrace send shop/cart/17 --type shop/Add --json '{"item": "tea"}' --durable --key order-4711
  millrace send example/counter/apples --type io.statefun.types/long --json 2 --call`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := statefun.ParseAddress(args[0])
			if err != nil {
				return err
			}
			m, err := p.message(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("key") {
				if err := admin.ValidateKey(d.Key); err != nil {
					return err
				}
			}
			c, ctx, cancel, err := a.client(cmd)
			if err != nil {
				return err
			}
			defer cancel()
			if !call {
				if err := c.Send(ctx, to, m, d); err != nil {
					return failed(err)
				}
				return nil
			}
			answer, err := c.Call(ctx, to, m, d)
			if err == nil {
				_, err = cmd.OutOrStdout().Write(values.Output(answer))
			}
			if err != nil {
				return failed(err)
			}
			return nil
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&p.typename, "type", "", "`typename` of the message (default io.statefun.types/string with --string)")
	set.StringVar(&p.json, "json", "", "the `value` as JSON")
	set.StringVar(&p.text, "string", "", "the value as `text`")
	set.StringVar(&p.file, "file", "", "the value is what is in a `file`; - is stdin")
	set.BoolVar(&call, "call", false, "wait for the answer and print it")
	set.BoolVar(&d.Durable, "durable", false, "wait until no crash can lose the message")
	set.StringVar(&d.Key, "key", "", "`key` under which the message counts once: 1 to 255 printable ASCII characters")
	cmd.MarkFlagsMutuallyExclusive("json", "string", "file")
	a.flags(cmd)
	return cmd
}

// message is the message that the flags describe. Without a value it is empty.
func (p *payload) message(cmd *cobra.Command) (m statefun.TypedValue, err error) {
	given := cmd.Flags().Changed
	if m.Typename = p.typename; m.Typename == "" && given("string") {
		m.Typename = statefun.String.Typename()
	}
	if m.Typename == "" {
		return m, errors.New("type: missing, want the typename of the message")
	}
	if err := statefun.ValidateTypename(m.Typename); err != nil {
		return m, err
	}
	switch {
	case given("json"):
		m.Value, err = values.OfJSON(m.Typename, p.json)
	case given("string"):
		m.Value, err = values.OfString(m.Typename, p.text)
	case p.file == "-":
		m.Value, err = io.ReadAll(cmd.InOrStdin())
	case given("file"):
		m.Value, err = os.ReadFile(p.file)
	}
	return m, err
}
