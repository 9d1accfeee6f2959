// SPDX-License-Identifier: Apache-2.0

// Crashverify reads the journal of a crash test from its standard input and says what was lost, what came twice and
// what was torn: came apart, though it belongs together. It knows the bank of examples/bank, and nothing of the engine
// that ran it: it imports none of it.
//
// The journal is JSON, one event a line; journal.go says which. Each violation is a line on stderr. After each event
// "check", and at the end, stdout has the counts. The exit code is 1 if anything was wrong, or nothing proved.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	ok, err := verify(os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crashverify:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// verify reads a journal to its end.
func verify(journal io.Reader, out, details io.Writer) (ok bool, err error) {
	v := newVerifier(details)
	lines := json.NewDecoder(bufio.NewReaderSize(journal, 1<<20))
	for n := 1; ; n++ {
		var e Event
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, fmt.Errorf("event %d: %w", n, err)
		}
		if err := v.see(&e); err != nil {
			return false, fmt.Errorf("event %d: %w", n, err)
		}
		if e.Event == "check" {
			fmt.Fprintln(out, v.counts)
		}
	}
	fmt.Fprintln(details, v.seen)
	if v.counts != (counts{}) {
		fmt.Fprintf(out, "crash: %d cycles, %d kills mid-epoch, %v\n", v.seen.cycles, v.seen.midEpoch, v.counts)
		return false, nil
	}
	if nothing := v.seen.nothing(); nothing != "" {
		fmt.Fprintln(out, "crash: nothing is proved:", nothing)
		return false, nil
	}
	fmt.Fprintf(out, "crash: %d cycles, %d kills mid-epoch, %v\n", v.seen.cycles, v.seen.midEpoch, v.counts)
	return true, nil
}
