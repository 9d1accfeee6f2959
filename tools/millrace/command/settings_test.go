// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// settled returns the options after the command line, the environment (key, value, …) and a config file.
func settled(t *testing.T, args, env []string, config string) (o options, err error) {
	t.Helper()
	if config != "" {
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	cmd := &cobra.Command{Use: "test", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error { return settle(cmd) }}
	cmd.Flags().AddFlagSet(o.flags())
	configFlag(cmd.Flags())
	cmd.SetArgs(args)
	return o, cmd.Execute()
}

// Every setting in each of its three forms, and which wins.
func TestSettle(t *testing.T) {
	modules := strings.Join([]string{"a.yaml", "b c.yaml"}, string(os.PathListSeparator))
	tests := []struct {
		name   string
		args   []string
		env    []string
		config string
		want   func(o options) bool
	}{
		{"defaults", nil, nil, "", func(o options) bool {
			return len(o.modules) == 0 && o.admin == "127.0.0.1:8081" && o.backend == "memory" && o.shards == 0 && o.application == "app" &&
				o.epochInterval.String() == "100ms" && o.memoryLimit == 0 && !o.strict && o.logFormat == "text" && o.drainTimeout.String() == "30s"
		}},
		{"flags", []string{"-m", "a", "--module", "b", "--strict", "--memory-limit", "2 GiB"}, nil, "", func(o options) bool {
			return slices.Equal(o.modules, []string{"a", "b"}) && o.strict && o.memoryLimit == 2<<30
		}},
		{"environment", nil, []string{"MILLRACE_MODULE", modules, "MILLRACE_EPOCH_INTERVAL", "off", "MILLRACE_STRICT", "true"}, "", func(o options) bool {
			return slices.Equal(o.modules, []string{"a.yaml", "b c.yaml"}) && o.epochInterval.String() == "off" && o.strict
		}},
		{"file", nil, nil, "# All kinds of values.\nmodule: [a, 'b c']\nshards: 0x10\nstrict: true\nmemory-limit: 1GiB\ndrain-timeout: 1m\n", func(o options) bool {
			return slices.Equal(o.modules, []string{"a", "b c"}) && o.shards == 16 && o.strict && o.memoryLimit == 1<<30 && o.drainTimeout.String() == "1m0s"
		}},
		{"a list of one", nil, nil, "module: a\n", func(o options) bool { return slices.Equal(o.modules, []string{"a"}) }},
		{"an empty file", nil, nil, "# Nothing.\n", func(o options) bool { return o.application == "app" }},
		{"an empty variable is none", nil, []string{"MILLRACE_APP", ""}, "app: file", func(o options) bool { return o.application == "file" }},
		{"flag over environment over file", []string{"--app", "flag"}, []string{"MILLRACE_APP", "env", "MILLRACE_SHARDS", "2"}, "app: file\nshards: 3\nbackend: file", func(o options) bool {
			return o.application == "flag" && o.shards == 2 && o.backend == "file"
		}},
		{"a flag replaces a list", []string{"-m", "flag"}, []string{"MILLRACE_MODULE", modules}, "module: [c, d]", func(o options) bool {
			return slices.Equal(o.modules, []string{"flag"})
		}},
		{"the default of a flag wins too", []string{"--app", "app"}, []string{"MILLRACE_APP", "env"}, "", func(o options) bool { return o.application == "app" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if o, err := settled(t, tt.args, tt.env, tt.config); err != nil || !tt.want(o) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

// Everything that is wrong is said at once, with where it stands.
func TestSettleRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		env    []string
		config string
		want   []string
	}{
		{"environment", []string{"MILLRACE_SHARDS", "x", "MILLRACE_STRICT", "perhaps"}, "", []string{"MILLRACE_SHARDS: ", "MILLRACE_STRICT: "}},
		{"values", nil, "shards: x\nmemory-limit: -1\n", []string{"config.yaml:1:1: ", "config.yaml:2:1: ", "whole number of bytes"}},
		{"unknown key", nil, "app: a\n\ncolour: red\n", []string{"config.yaml:3:1: colour: unknown key"}},
		{"config in config", nil, "config: more.yaml\n", []string{"config.yaml:1:1: config: unknown key"}},
		{"the name of a variable", nil, "MILLRACE_APP: a\n", []string{"unknown key"}},
		{"nested", nil, "app: {name: a}\n", []string{"config.yaml:1:6: app: want a value"}},
		{"a list of one that has one value", nil, "app: [a]\n", []string{"config.yaml:1:6: app: want a value"}},
		{"null", nil, "app:\n", []string{"app: want a value"}},
		{"an alias", nil, "app: &a x\nbackend: *a\n", []string{"config.yaml:2:10: backend: want a value"}},
		{"no mapping", nil, "- app\n", []string{"config.yaml:1:1: want a mapping"}},
		{"two documents", nil, "app: a\n---\napp: b\n", []string{"single YAML document"}},
		{"no YAML", nil, "app: [\n", []string{"config.yaml"}},
		{"twice", nil, "app: a\napp: b\n", []string{"config.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := settled(t, nil, tt.env, tt.config)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v; want %q in one line", err, want)
				}
			}
		})
	}
}

// A command takes from the file what it has flags for, and still refuses what nobody knows.
func TestSettleSubset(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("shards: 3\nadmin: unix:/run/admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var a ask
	cmd := &cobra.Command{Use: "test", RunE: func(cmd *cobra.Command, _ []string) error { return settle(cmd) }}
	a.flags(cmd)
	cmd.SetArgs([]string{"--config", file})
	if err := cmd.Execute(); err != nil || a.admin != "unix:/run/admin" {
		t.Errorf("%q, %v", a.admin, err)
	}
}

// Whatever a config file holds: settings with a place, or an error, and no panic.
func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{"", "app: a\n", "module: [a, b]\n", "a: &x {b: *x}\n", "? [a]\n: b\n", "<<: {app: a}\n", "app: !!binary aGk=\n", "---\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := parseConfig("f", text)
		for _, s := range settings {
			if err == nil && (len(s.values) == 0 && s.key != "module" || !strings.HasPrefix(s.at, "f:")) {
				t.Errorf("%+v", s)
			}
		}
	})
}
