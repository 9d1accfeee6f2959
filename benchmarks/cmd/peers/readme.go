// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// What is between these lines of the README is written by this command.
const (
	readmeBegin = "<!-- Written by go run ./benchmarks/cmd/peers -readme -->\n"
	readmeEnd   = "<!-- End of what it has written -->\n"
)

// writeReadme puts the newest results of a folder into a file: all of them, or a short look at one workload would
// take the others out of the README.
func writeReadme(file, folder string) error {
	r, err := latest(folder)
	if err != nil {
		return err
	}
	for _, c := range plan(1) {
		if r.median(c, millrace) == 0 {
			return fmt.Errorf("the newest results in %s have nothing of %s: run make bench-peers without -only", folder, c.name)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	next, err := replaceBlock(string(text), r.readme(plan(1)))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(next), 0o644)
}

// replaceBlock replaces what is between the two lines.
func replaceBlock(text, block string) (string, error) {
	before, rest, ok := strings.Cut(text, readmeBegin)
	_, after, closed := strings.Cut(rest, readmeEnd)
	if !ok || !closed || strings.Contains(after, readmeBegin) {
		return "", fmt.Errorf("want once the line %q, and then %q", strings.TrimSpace(readmeBegin), strings.TrimSpace(readmeEnd))
	}
	return before + readmeBegin + block + readmeEnd + after, nil
}

// readme is the block: where the figures come from, and the tables.
func (r results) readme(cells []cell) string {
	var b strings.Builder
	day, _, _ := strings.Cut(r.Taken, "T")
	commit, modified, _ := strings.Cut(r.Commit, "-")
	if len(commit) > 10 {
		commit = commit[:10]
	}
	if modified != "" {
		commit += ", " + modified
	}
	rounds := fmt.Sprintf("the median of %d rounds", r.Rounds)
	if r.Rounds == 1 {
		rounds = "one round"
	}
	if r.Scale != 1 {
		rounds += fmt.Sprintf(" of %g of the messages", r.Scale)
	}
	fmt.Fprintf(&b, "%s, commit %s, %s, %s.\n\n", r.Machine, commit, day, rounds)
	b.WriteString(r.tables(cells))
	return b.String()
}
