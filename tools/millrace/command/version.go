// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Stamp sets what root shows as its version and commit. For what is empty, the command shows what the
// toolchain has recorded.
func Stamp(root *cobra.Command, version, commit string) {
	recorded := recordedBuild()
	root.Version = cmp.Or(version, recorded.Version)
	root.Annotations = map[string]string{"commit": cmp.Or(commit, recorded.Commit)}
}

// build is what a program was made of. Its JSON is an interface.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func buildOf(cmd *cobra.Command) build {
	root := cmd.Root()
	return build{root.Version, root.Annotations["commit"], runtime.Version(), runtime.GOOS, runtime.GOARCH}
}

func recordedBuild() (b build) {
	b.Version, b.Commit = "unknown", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(info.Main.Version, b.Version)
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	b.Commit += modified
	return b
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what was built",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := buildOf(cmd)
			if asJSON {
				return writeJSON(cmd, b)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "millrace %s %s %s %s/%s\n", b.Version, b.Commit, b.Go, b.OS, b.Arch); err != nil {
				return failed(err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as one JSON object")
	return cmd
}

// writeJSON writes v to stdout as one line.
func writeJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetEscapeHTML(false) // Hints hold <…>.
	if err := enc.Encode(v); err != nil {
		return failed(err)
	}
	return nil
}
