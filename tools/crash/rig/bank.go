// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bank is a bank that runs, or has run.
type Bank struct {
	Boot time.Duration // From its start until it was ready.

	cmd     *exec.Cmd
	journal *Journal
	ready   chan struct{} // Closed when address is there.
	ended   chan struct{} // Closed when it has, and all that it has said is read.

	address string // Written once before ready is closed.
	watched watched

	mu  sync.Mutex
	log bytes.Buffer // Guarded by mu. Its stderr.
}

// watched is what a bank of the build for crash tests has said. It is read once the bank has ended.
type watched struct{ begun, ended uint64 }

// Options say how a bank is started.
type Options struct {
	Shards        int
	EpochInterval time.Duration
	// A watched bank dies in the commit with this number, after this much of the time that the one before took. If that
	// is negative, so many seconds after the commit should have begun.
	KillAt   int
	Fraction float64
}

// Arguments are those of a bank.
func (o Options) Arguments(s Store) []string {
	return []string{
		"-backend", s.URL(), "-shards", strconv.Itoa(o.Shards), "-epoch-interval", o.EpochInterval.String(),
		"-listen", "127.0.0.1:0", "-rate", "0", "-report", "0", "-statements",
	}
}

// Start starts a bank, and does not wait until it is ready.
func Start(program string, s Store, o Options, j *Journal) (*Bank, error) {
	return StartCommand(exec.Command(program, o.Arguments(s)...), o, j)
}

// StartCommand starts a bank by a command that will run it.
func StartCommand(cmd *exec.Cmd, o Options, j *Journal) (*Bank, error) {
	b := &Bank{cmd: cmd, journal: j, ready: make(chan struct{}), ended: make(chan struct{})}
	watch, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(os.Environ(), fmt.Sprintf("BANK_KILL=%d,%g", o.KillAt, o.Fraction))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, watch.Close(), theirs.Close())
	}
	_ = theirs.Close() // The bank has its own.
	var reading sync.WaitGroup
	reading.Go(func() { b.readStatements(stdout) })
	reading.Go(func() { b.readLog(stderr, begin) })
	reading.Go(func() { b.readWatch(watch) })
	go func() {
		defer close(b.ended)
		reading.Wait()
		_ = cmd.Wait() // The state says it.
		_ = watch.Close()
	}()
	return b, nil
}

// readStatements notes what leaves the bank.
func (b *Bank) readStatements(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		if line, ok := bytes.CutPrefix(s.Bytes(), []byte("{")); ok {
			b.journal.line(append([]byte(`{"event":"statement",`), line...), nil)
		}
	}
}

func (b *Bank) readLog(r io.Reader, begin time.Time) {
	for s := bufio.NewScanner(r); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "listening on http://"); ok && b.address == "" {
			b.address, _, _ = strings.Cut(rest, ",")
			b.Boot = time.Since(begin)
			close(b.ready)
		}
		b.mu.Lock()
		b.log.WriteString(s.Text() + "\n")
		b.mu.Unlock()
	}
}

func (b *Bank) readWatch(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var line struct{ Begin, End, Epoch uint64 }
		if json.Unmarshal(s.Bytes(), &line) != nil { // It was cut off.
			return
		}
		switch {
		case line.Begin > 0:
			b.watched.begun = line.Begin
		case line.End > 0:
			b.watched.ended = line.End
		default:
			b.journal.Write(Event{Event: "totals", Epoch: line.Epoch, Totals: bytes.Clone(s.Bytes())})
		}
	}
}

// ErrEnded is returned when a bank that should run has ended.
var ErrEnded = errors.New("the bank has ended")

// WaitReady waits until the bank takes requests, and returns where.
func (b *Bank) WaitReady() (address string, err error) {
	select {
	case <-b.ready:
		return b.address, nil
	case <-b.ended:
		return "", fmt.Errorf("%w: exit code %d: %s", ErrEnded, b.ExitCode(), b.Log())
	case <-time.After(Patience):
		return "", fmt.Errorf("the bank is not ready after %v: %s", Patience, b.Log())
	}
}

// Ready is closed once the bank takes requests.
func (b *Bank) Ready() <-chan struct{} { return b.ready }

// Ended is closed once the bank has ended and everything that it has said is noted.
func (b *Bank) Ended() <-chan struct{} { return b.ended }

// Signal sends it a signal. One that has ended gets none.
func (b *Bank) Signal(s syscall.Signal) error {
	if err := b.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Stop has it stand still, and returns when it does: until then, what it is doing goes on.
func (b *Bank) Stop() error {
	if err := b.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var status syscall.WaitStatus
	for {
		switch _, err := syscall.Wait4(b.PID(), &status, syscall.WUNTRACED, nil); {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case !status.Stopped():
			return fmt.Errorf("the bank has not stopped, but ended: %#x", status)
		default:
			return nil
		}
	}
}

// Wait waits for its end.
func (b *Bank) Wait() error {
	select {
	case <-b.ended:
		return nil
	case <-time.After(Patience):
		return fmt.Errorf("the bank has not ended after %v: %s", Patience, b.Log())
	}
}

// Kill ends it where it stands.
func (b *Bank) Kill() error { return errors.Join(b.Signal(syscall.SIGKILL), b.Wait()) }

// End asks it to end, and waits until it has, in whatever order.
func (b *Bank) End() error { return errors.Join(b.Signal(syscall.SIGTERM), b.Wait()) }

// Terminate asks it to end, so many times, and demands that it does so in good order.
func (b *Bank) Terminate(times int) error {
	for range times - 1 {
		if err := b.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	if err := b.End(); err != nil {
		return err
	}
	if code := b.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d after SIGTERM: %s", code, b.Log())
	}
	return nil
}

// ExitCode is that of a bank that has ended; -1 if a signal has ended it.
func (b *Bank) ExitCode() int { return b.cmd.ProcessState.ExitCode() }

// PID is its process.
func (b *Bank) PID() int { return b.cmd.Process.Pid }

// MidEpoch reports whether a watched bank that has ended did so within a commit.
func (b *Bank) MidEpoch() bool { return b.watched.begun > b.watched.ended }

// Log is what it has said on stderr.
func (b *Bank) Log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}
