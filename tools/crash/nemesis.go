// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/tools/crash/rig"
)

// nemesis ends banks.
type nemesis struct {
	*rig.Rig
	rng      *rand.Rand
	boot     time.Duration // How long the last bank took to be back.
	kills    int
	midEpoch int
}

const epochInterval = 20 * time.Millisecond

// bootMax is the most that a bank may take to be back. Its log is short.
const bootMax = 10 * time.Second

// killsMax is the most kills that a cycle needs.
const killsMax = 4

// next draws how the bank of a cycle ends. At least half of all kills are to be within a commit, whatever the cycle
// brings, and one for every other cycle.
func (n *nemesis) next(cycle int) (name string, end func() error) {
	ends := []struct {
		name string
		do   func() error
	}{
		{"killed at any time", n.anyTime},
		{"killed while it recovers", n.recovering},
		{"asked to end", n.asked},
		{"stopped and fooled", n.fooled},
		{"replaced while it stops", n.replaced},
	}
	if choice := n.rng.IntN(2 * len(ends)); choice < len(ends) && 2*n.midEpoch >= max(n.kills+killsMax, cycle) {
		return ends[choice].name, ends[choice].do
	}
	return "killed within a commit", n.withinCommit
}

// open starts a bank and lets the clients in.
func (n *nemesis) open(program string, o rig.Options) (*rig.Bank, string, error) {
	o.Shards, o.EpochInterval = 1+n.rng.IntN(8), epochInterval
	b, address, err := n.Start(program, o)
	if err != nil {
		return nil, "", err
	}
	n.boot = b.Boot
	if n.boot > bootMax {
		return nil, "", errors.Join(fmt.Errorf("the bank was back after %v, more than %v", n.boot, bootMax), b.Kill())
	}
	if _, err := n.Standings(address); err != nil && program != n.Watched { // That one may be dead by now.
		return nil, "", errors.Join(err, b.Kill())
	}
	if program != n.Watched && n.rng.IntN(2) == 0 { // Whoever waits is answered, without anything new coming in (O9).
		if err := n.Clients.Do(address, 0); err != nil {
			return nil, "", errors.Join(err, b.Kill())
		}
	}
	n.Clients.Open(address)
	return b, address, nil
}

// work lets the bank work for a while.
func (n *nemesis) work(b *rig.Bank) {
	select {
	case <-b.Ended():
	case <-time.After(time.Duration(n.rng.IntN(700)) * time.Millisecond):
	}
}

// killed buries a bank that is killed.
func (n *nemesis) killed(b *rig.Bank) error {
	if err := b.Kill(); err != nil {
		return err
	}
	if b.ExitCode() != -1 {
		return fmt.Errorf("the bank has ended by itself, with exit code %d: %s", b.ExitCode(), b.Log())
	}
	n.kills++
	if b.MidEpoch() {
		n.midEpoch++
	}
	return n.Bury(b.MidEpoch())
}

// withinCommit has the bank die in one of its commits.
func (n *nemesis) withinCommit() error {
	o := rig.Options{KillAt: 1 + n.rng.IntN(100), Fraction: n.rng.Float64()}
	if n.rng.IntN(4) == 0 {
		o.Fraction /= -50 // Up to 20 ms.
	}
	b, _, err := n.open(n.Watched, o)
	if errors.Is(err, rig.ErrEnded) { // In a commit that was before it was ready.
		return nil
	}
	if err != nil {
		return err
	}
	select {
	case <-b.Ended():
	case <-time.After(5 * time.Second): // With so few commits it is killed as it is.
	}
	return n.killed(b)
}

func (n *nemesis) anyTime() error {
	b, _, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return err
	}
	n.work(b)
	return n.killed(b)
}

// recovering kills a bank a few times before it is back (C10), and then later.
func (n *nemesis) recovering() error {
	for range 1 + n.rng.IntN(3) {
		if err := n.atBoot(); err != nil {
			return err
		}
	}
	return n.anyTime()
}

// firstBoot kills a bank while it makes its store (C12).
func (n *nemesis) firstBoot() error {
	n.boot = 30 * time.Millisecond
	for range 2 {
		if err := n.atBoot(); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) atBoot() error {
	b, err := rig.Start(n.Bank, n.Store, rig.Options{Shards: 1 + n.rng.IntN(8), EpochInterval: epochInterval}, n.Journal)
	if err != nil {
		return err
	}
	select {
	case <-b.Ended():
	case <-time.After(time.Duration(n.rng.Int64N(int64(n.boot)))):
	}
	return n.killed(b)
}

// asked asks the bank to end, once or twice (C13).
func (n *nemesis) asked() error {
	b, _, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return err
	}
	n.work(b)
	if err := b.Terminate(1 + n.rng.IntN(2)); err != nil {
		return err
	}
	return n.Bury(false)
}

// fooled stops the bank, starts another one on the same store, which must say who has it (D9), and lets the first go on.
func (n *nemesis) fooled() error {
	b, _, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return err
	}
	n.work(b)
	err = b.Stop()
	if err == nil {
		err = n.refused(fmt.Sprintf("process %d", b.PID()))
	}
	if err = errors.Join(err, b.Signal(syscall.SIGCONT)); err != nil {
		return errors.Join(err, b.Kill())
	}
	n.work(b)
	return n.killed(b)
}

// refused starts a bank that must refuse to run, and say why.
func (n *nemesis) refused(why string) error {
	b, _, err := n.Start(n.Bank, rig.Options{Shards: 1, EpochInterval: epochInterval})
	switch {
	case err == nil:
		return errors.Join(errors.New("a second bank is there"), b.Kill())
	case !errors.Is(err, rig.ErrEnded) || !strings.Contains(err.Error(), why):
		return fmt.Errorf("a second bank does not say %q: %w", why, err)
	}
	return nil
}

// replaced stops the bank and puts a copy of its store in the place of the store, which another bank takes over. When
// the first goes on, it must notice, and do no harm (C13, D10).
func (n *nemesis) replaced() error {
	b, _, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return err
	}
	n.work(b)
	if err := errors.Join(b.Stop(), n.Clients.Pause(), n.Store.Replace()); err != nil {
		return errors.Join(err, b.Kill())
	}
	other, _, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return errors.Join(err, b.Kill())
	}
	n.work(other)
	if err := errors.Join(b.Signal(syscall.SIGCONT), b.Wait()); err != nil {
		return errors.Join(err, b.Kill(), other.Kill())
	}
	// It is fenced, or finds files gone before it gets that far.
	if log := b.Log(); b.ExitCode() != 1 || !strings.Contains(log, "engine: commit") {
		return errors.Join(fmt.Errorf("whose store was replaced has ended with code %d: %s", b.ExitCode(), log), other.Kill())
	}
	n.work(other)
	return n.killed(other)
}

// finish lets everything come to its end.
func (n *nemesis) finish() error {
	b, address, err := n.open(n.Bank, rig.Options{})
	if err != nil {
		return err
	}
	if err := n.Rest(b, address); err != nil {
		return errors.Join(err, b.Kill())
	}
	return nil
}
