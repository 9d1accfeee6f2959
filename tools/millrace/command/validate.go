// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/tools/millrace/module"
)

// verdict is what validate finds. Its JSON is an interface.
type verdict struct {
	Valid    bool           `json:"valid"`
	Problems []problem      `json:"problems"`
	Wiring   *module.Wiring `json:"wiring"` // null unless valid.
}

type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Field   string `json:"field"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Warning bool   `json:"warning,omitempty"`
}

func validateCommand(kinds []kind.Kind) *cobra.Command {
	var o options
	var explain, asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check module files, and say what they set up",
		Long: `Check module files that are to run together. Nothing is started or connected to.

Problems go to stderr, one a line: file:line:column: field: message; hint. With --json one object goes to
stdout: {"valid","problems":[{"file","line","column","field","message","hint"}],"wiring"}; a problem with
"warning" does not make the files invalid. Exit code 0: valid; 2: invalid.`,
		Example: `  millrace validate module.yaml
  millrace validate --strict --json functions.yaml http.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := settle(cmd); err != nil {
				return err
			}
			if slices.Contains(files, "") {
				return errors.New(`file: "", want the name of a module file`)
			}
			app, problems := module.Load(files, module.Options{Kinds: kinds, Env: os.LookupEnv, Strict: o.strict})
			if asJSON {
				return writeVerdict(cmd, app, problems)
			}
			if app == nil {
				return invalid(cmd, problems)
			}
			printProblems(cmd, problems)
			return printWiring(cmd, app.Wiring(), explain)
		},
	}
	cmd.Flags().BoolVar(&explain, "explain", false, "say what the files set up")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	o.pick(cmd.Flags(), "strict")
	configFlag(cmd.Flags())
	return cmd
}

// invalid prints problems and is the error that follows from them.
func invalid(cmd *cobra.Command, problems []kind.Problem) error {
	printProblems(cmd, problems)
	return failure{errors.New("invalid module files"), exitUsage, true}
}

func printProblems(cmd *cobra.Command, problems []kind.Problem) {
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
}

func writeVerdict(cmd *cobra.Command, app *module.Application, problems []kind.Problem) error {
	v := verdict{Valid: app != nil, Problems: []problem{}}
	for _, p := range problems {
		v.Problems = append(v.Problems, problem{p.File, p.Line, p.Column, p.Field, p.Message, p.Hint, p.Warning})
	}
	if app != nil {
		w := app.Wiring()
		v.Wiring = &w
	}
	if err := writeJSON(cmd, v); err != nil {
		return err
	}
	if !v.Valid {
		return failure{errors.New("invalid module files"), exitUsage, true}
	}
	return nil
}

func printWiring(cmd *cobra.Command, w module.Wiring, explain bool) error {
	out := &printer{w: cmd.OutOrStdout()}
	out.printf("valid: %s, %s, %s\n", counted(len(w.Endpoints), "endpoint", "s"), counted(len(w.Ingresses), "ingress", "es"), counted(len(w.Egresses), "egress", "es"))
	if explain {
		for _, i := range w.Ingresses {
			out.printf("ingress  %s: %s, %s%s\n", cmp.Or(i.ID, "without an id"), i.Kind, i.At, listens(i.Listens))
		}
		for _, e := range w.Endpoints {
			out.printf("endpoint %s: %s, %s\n", e.Functions, e.Kind, e.At)
			out.printf("         up to %d messages and %d bytes a request, %d requests at once\n", e.MessagesMax, e.BytesMax, e.InFlightMax)
			out.printf("         %d ms for a delivery, attempts %d to %d ms apart, then %s", e.CallMS, e.RetryFirstMS, e.RetryMostMS, e.Exhausted)
			if e.DeadLetter != "" {
				out.printf(" to %s", e.DeadLetter)
			}
			out.printf("; suspended after %d broken replies\n", e.BrokenMax)
		}
		for _, e := range w.Egresses {
			out.printf("egress   %s: %s, %s%s\n", e.ID, e.Kind, e.At, listens(e.Listens))
		}
	}
	if out.err != nil {
		return failed(out.err)
	}
	return nil
}
