// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/tools/crash/rig"
	"github.com/millrace-io/millrace/tools/crash/tracer"
)

// A sweep does a small history of a bank over and over: it makes its store, takes a few requests, each of which is an
// epoch, folds its log meanwhile, and ends. Each time one system call is met, the next one each time, until none is
// left: so there is no place in the history where the bank has not been ended.
type sweeper struct {
	*rig.Rig
	log   string  // Of the tracer.
	wrong []error // What banks did that they should not have done.
}

// kinds are what happens at a call. What cannot happen there is left out.
var kinds = []struct {
	name string
	plan tracer.Plan
}{
	{"killed", tracer.Plan{}},
	{"EIO", tracer.Plan{Error: "EIO"}},
	{"ENOSPC", tracer.Plan{Error: "ENOSPC", Times: 3, Calls: []string{
		"openat", "mkdirat", "write", "pwrite64", "fallocate", "renameat", "linkat",
	}}},
}

// sweepRequests is how many requests a history has.
const sweepRequests = 10

func sweep(r *rig.Rig) error {
	r.Accounts, r.Store.Compact = 3, 16<<10
	s := &sweeper{Rig: r, log: r.Store.Dir + ".calls"}
	if err := s.undisturbed(); err != nil {
		return fmt.Errorf("undisturbed: %w", err)
	}
	for _, kind := range kinds {
		if err := s.all(kind.name, kind.plan); err != nil {
			return err
		}
	}
	return errors.Join(s.wrong...)
}

// all does a history for each call. How many there are differs a little: what happens behind commits may come before
// the end or not. So the end is where a few in a row have not been there.
func (s *sweeper) all(name string, plan tracer.Plan) error {
	begin := time.Now()
	plan.Dir = s.Store.Dir
	met := 0
	for at, missed := 1, 0; missed < 3; at++ {
		plan.At = at
		call, err := s.one(plan)
		if err != nil {
			return fmt.Errorf("%s at call %d: %w", name, at, err)
		}
		if missed++; call != nil {
			met, missed = met+1, 0
		}
		s.Journal.Write(rig.Event{Event: "cycle"})
	}
	fmt.Fprintf(os.Stderr, "crash: %s at each of %d calls in %.0f s\n", name, met, time.Since(begin).Seconds())
	return nil
}

// begin begins another history.
func (s *sweeper) begin() error {
	s.Journal.Store()
	s.Clients = rig.NewClients(1, s.Accounts, 1, s.Journal)
	return os.RemoveAll(s.Store.Dir)
}

// undisturbed does a history that nothing happens to, to its very end.
func (s *sweeper) undisturbed() error {
	if err := s.begin(); err != nil {
		return err
	}
	b, address, err := s.Start(s.Bank, s.options(2))
	if err != nil {
		return err
	}
	if err := s.Clients.Do(address, sweepRequests); err != nil {
		return errors.Join(err, b.Kill())
	}
	if err := s.Rest(b, address); err != nil {
		return errors.Join(err, b.Kill())
	}
	return s.Clients.Close()
}

// options are those of a bank that commits when somebody waits for it.
func (s *sweeper) options(shards int) rig.Options {
	return rig.Options{Shards: shards, EpochInterval: time.Minute}
}

// one does a history with one thing that happens. It returns the call at which it did, or nil if there was none.
func (s *sweeper) one(plan tracer.Plan) (met *tracer.Call, err error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	cmd, err := tracer.Command(plan, s.log, s.Bank, s.options(2).Arguments(s.Store)...)
	if err != nil {
		return nil, err
	}
	b, err := rig.StartCommand(cmd, rig.Options{}, s.Journal)
	if err != nil {
		return nil, err
	}
	address, err := b.WaitReady()
	ready := err == nil
	if ready {
		err = s.Clients.Do(address, sweepRequests)
	} else if errors.Is(err, rig.ErrEnded) {
		err = nil
	}
	if err == nil {
		err = b.End()
	}
	if err != nil {
		return nil, errors.Join(err, b.Kill())
	}
	calls, err := tracer.ReadLog(s.log)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(calls, func(c tracer.Call) bool { return c.Met }); at >= 0 {
		met, calls = &calls[at], calls[at+1:]
	}
	if err := judge(plan, b.ExitCode(), ready, met, calls); err != nil {
		err = fmt.Errorf("%s at %v: %w; the bank has ended with code %d: %s", cmp.Or(plan.Error, "killed"), met, err, b.ExitCode(), b.Log())
		s.wrong = append(s.wrong, err)
	}
	if err := s.Bury(ready && met != nil && plan.Error == ""); err != nil { // From then on all there is are epochs.
		return nil, err
	}
	if err := s.goOn(); err != nil {
		return nil, err
	}
	return met, s.Clients.Close()
}

// judge says what a bank did that it should not have done, by how it ended, and by the calls behind the one that was met.
func judge(plan tracer.Plan, code int, ready bool, met *tracer.Call, behind []tracer.Call) error {
	const killed = 128 + 9
	switch {
	case met == nil && code != 0:
		return errors.New("nothing has happened to it")
	case met == nil:
	case plan.Error == "" && code != killed:
		return errors.New("it was killed")
	case plan.Error == "ENOSPC" && ready && code != 0:
		return errors.New("there is room again, and it has not gone on (D5)")
	case plan.Error == "EIO" && isSync(*met):
		// The directory is everybody's: who syncs it may know nothing of what has failed.
		again := slices.IndexFunc(behind, func(c tracer.Call) bool { return isSync(c) && c.Path == met.Path && c.Path != plan.Dir })
		if again >= 0 {
			return fmt.Errorf("and then %v, once more (D6)", behind[again])
		}
		commit := slices.IndexFunc(behind, func(c tracer.Call) bool { return isSync(c) && strings.Contains(c.Path, "/log-") })
		if code != 1 && commit >= 0 { // Behind the last commit there is nothing to halt.
			return fmt.Errorf("and then %v: it has not halted (D6)", behind[commit])
		}
	}
	return nil
}

func isSync(c tracer.Call) bool {
	return c.Name == "fsync" || c.Name == "fdatasync" || c.Name == "sync_file_range"
}

// goOn has another bank go on with the store.
func (s *sweeper) goOn() error {
	b, address, err := s.Start(s.Bank, s.options(3))
	if err != nil {
		return err
	}
	if err := errors.Join(s.Clients.Do(address, 2), b.Terminate(1)); err != nil {
		return errors.Join(err, b.Kill())
	}
	return s.Bury(false)
}
