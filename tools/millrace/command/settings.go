// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingsHelp is part of the help of run, and askSettingsHelp of the commands that ask a running engine.
const settingsHelp = `
Settings are flags, variables of the environment and keys of the config file, in this order of precedence:
--epoch-interval 1s, MILLRACE_EPOCH_INTERVAL=1s, and "epoch-interval: 1s" in the YAML file that --config or
MILLRACE_CONFIG names. Several module files are a list in the file; in the environment they are separated as
the folders of PATH. Paths are relative to the working directory.`

const askSettingsHelp = `
--admin and --admin-token-file may also be given as MILLRACE_ADMIN and MILLRACE_ADMIN_TOKEN_FILE in the
environment, or in the file that --config or MILLRACE_CONFIG names, which may be that of millrace run.`

// configFlag gives a command its config file.
func configFlag(set *pflag.FlagSet) { set.String("config", "", "`file` with settings: a YAML mapping") }

// settle gives the settings among a command's flags that were not typed the values of the environment, or
// else of the config file. It returns everything that is wrong with them, as one error.
func settle(cmd *cobra.Command) error {
	var errs []error
	settings := new(options).flags()
	set := func(f *pflag.Flag, source string, values ...string) {
		for _, v := range values {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", source, err))
			}
		}
	}
	// The variables first: what they set counts as typed for the file.
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed && (settings.Lookup(f.Name) != nil || f.Name == "config") {
			name := variable(f.Name)
			if v := os.Getenv(name); v != "" {
				set(f, name, list(f, v)...)
			}
		}
	})
	given := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = true })
	file, err := readConfig(cmd.Flags().Lookup("config").Value.String())
	errs = append(errs, err)
	for _, s := range file {
		switch f := cmd.Flags().Lookup(s.key); {
		case settings.Lookup(s.key) == nil:
			errs = append(errs, fmt.Errorf("%s: %s: unknown key; the keys are the settings in millrace run --help", s.at, s.key))
		case f != nil && !given[s.key]: // A command without the flag has no use for it.
			set(f, s.at, s.values...)
		}
	}
	return oneLine(errors.Join(errs...))
}

// variable is the name of a setting in the environment.
func variable(flag string) string {
	return "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// list splits the value of a variable when its setting has several.
func list(f *pflag.Flag, v string) []string {
	if f.Value.Type() == "stringArray" {
		return filepath.SplitList(v)
	}
	return []string{v}
}
