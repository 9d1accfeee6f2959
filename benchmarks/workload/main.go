// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// Main is the command of one program, which runs one workload once: WORKLOAD KEYS MESSAGES DIST SEED. It writes
// what was measured to stdout. Every program is a command of its own, and not only a process: frameworks
// register their messages with one registry under the same names.
func Main(runs map[string]Run) {
	value, err := one(runs, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(value)
}

// Args is the command line that Main reads.
func Args(workload string, l keys.Load) []string {
	return []string{workload, strconv.Itoa(l.Keys), strconv.Itoa(l.Messages), string(l.Dist), strconv.FormatUint(l.Seed, 10)}
}

func one(runs map[string]Run, args []string) (value float64, err error) {
	if len(args) != 5 {
		return 0, fmt.Errorf("%d arguments, want WORKLOAD KEYS MESSAGES DIST SEED", len(args))
	}
	keyCount, err1 := strconv.Atoi(args[1])
	messages, err2 := strconv.Atoi(args[2])
	seed, err3 := strconv.ParseUint(args[4], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	run := runs[args[0]]
	if run == nil {
		return 0, fmt.Errorf("no workload %q", args[0])
	}
	return run(keys.Load{Keys: keyCount, Messages: messages, Dist: keys.Dist(args[3]), Seed: seed})
}
