// SPDX-License-Identifier: Apache-2.0

// Package backendtest holds what every implementation of [backend.Backend] must do as tests, and
// [Model], the implementation that is obviously right.
//
// The suite checks each sentence of the port's documentation. It does not check what a crash, a full
// disk or a lost response does: those need the backend's own ways of injecting them. A backend with
// such ways runs the suite once more on each state that they leave behind, through its [Factory].
package backendtest

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
)

// Factory makes the backends that [Run] tests.
type Factory struct {
	// Open opens the store at location: the path of a directory that may be made and filled, or, for
	// stores that live elsewhere, a name which no other test uses. A Durable store is opened several
	// times at one location, after it was closed and while it is open.
	Open func(ctx context.Context, location string, opts backend.Options) (backend.Backend, error)
	// Durable says that what is committed is there when its location is opened again.
	Durable bool
}

// Run tests that the backends of f keep the contract of [backend.Backend]. Under the race detector it
// also tests that Get and Scan may run during Commit.
func Run(t *testing.T, f Factory) {
	for _, c := range checks {
		if c.durable && !f.Durable {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.on(t, f, filepath.Join(t.TempDir(), "store")) })
	}
	t.Run(historyName, func(t *testing.T) {
		root, n := t.TempDir(), 0
		rapid.Check(t, func(t *rapid.T) {
			n++
			history(t, t, f, filepath.Join(root, strconv.Itoa(n)))
		})
	})
}

// check tests one sentence of the contract.
type check struct {
	name    string
	durable bool // It opens one store several times.
	run     func(s *store)
}

func (c check) on(t tb, f Factory, location string) {
	s := open(t, f, location, options)
	defer s.close()
	c.run(s)
}

// checks are ordered so that the first failure says most.
var checks = []check{
	{name: "a new store is empty", run: checkNew},
	{name: "options are validated", run: checkOptions},
	{name: "commit puts and deletes", run: checkCommit},
	{name: "later changes win", run: checkLaterWins},
	{name: "a key belongs to its group", run: checkGroups},
	{name: "any bytes are a key and a value", run: checkBytes},
	{name: "latest describes the newest commit", run: checkLatest},
	{name: "get appends", run: checkGet},
	{name: "scan yields a range in order", run: checkScan},
	{name: "scan may be left early", run: checkScanStops},
	{name: "scan sees one commit", run: checkScanDuringCommit},
	{name: "byte slices are borrowed", run: checkBorrowed},
	{name: "epochs ascend", run: checkEpochs},
	{name: "a damaged part changes nothing", run: checkDamage},
	{name: "a failed commit can be repeated", run: checkRepeat},
	{name: "get and scan run during commit", run: checkConcurrent},
	{name: "what has been put again is kept", run: checkLaps},
	{name: "a closed store is closed", run: checkClose},
	{name: "a store survives", durable: true, run: checkSurvives},
	{name: "generations ascend", durable: true, run: checkGenerations},
	{name: "another application is refused", durable: true, run: checkMismatch},
	{name: "a store has one owner", durable: true, run: checkOwner},
}

const historyName = "random histories agree with the model"
