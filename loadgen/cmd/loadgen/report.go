// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"
)

// report is what a command has measured.
type report interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
}

// writeReport writes a report to stdout, in the form that was asked for.
func writeReport(cmd *cobra.Command, r report, json bool) error {
	write := r.WriteText
	if json {
		write = r.WriteJSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return failure{err}
	}
	return nil
}
