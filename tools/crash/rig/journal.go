// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// Event is a line of the journal, as crashverify reads it.
type Event struct {
	Event    string          `json:"event"`
	Opening  int64           `json:"opening,omitempty"`
	Client   string          `json:"client,omitempty"`
	Number   uint64          `json:"number,omitempty"`
	Account  string          `json:"account,omitempty"`
	Answer   string          `json:"answer,omitempty"`
	Epoch    uint64          `json:"epoch,omitempty"`
	MidEpoch bool            `json:"mid_epoch,omitempty"`
	Totals   json.RawMessage `json:"totals,omitempty"`
	Books    json.RawMessage `json:"books,omitempty"`
	Standing json.RawMessage `json:"standing,omitempty"`
}

// Journal is the journal of a test. It is kept in a file, and shown to crashverify as it is written.
type Journal struct {
	verify  *exec.Cmd
	verdict *bufio.Scanner

	mu     sync.Mutex
	file   *os.File      // Guarded by mu, as all that follows.
	stdin  io.Closer     // Of crashverify.
	w      *bufio.Writer // To both.
	failed error
}

// openingBalance is what examples/bank gives to each account.
const openingBalance = 1000

// NewJournal begins a journal.
func NewJournal(file, verify string) (*Journal, error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, verify: exec.Command(verify)}
	j.verify.Stderr = os.Stderr
	stdin, err := j.verify.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := j.verify.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := j.verify.Start(); err != nil {
		return nil, err
	}
	j.stdin, j.verdict = stdin, bufio.NewScanner(stdout)
	j.w = bufio.NewWriterSize(io.MultiWriter(f, stdin), 64<<10)
	j.Store()
	return j, nil
}

// Store notes that another store begins.
func (j *Journal) Store() { j.Write(Event{Event: "store", Opening: openingBalance}) }

// Write notes an event.
func (j *Journal) Write(e Event) {
	line, err := json.Marshal(e)
	j.line(line, err)
}

func (j *Journal) line(line []byte, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	j.failed = errors.Join(j.failed, err)
}

// flush has everything written.
func (j *Journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.failed, j.w.Flush())
}

// clean is the verdict that nothing was wrong.
const clean = "0 lost, 0 duplicated, 0 torn"

// Check has everything so far judged.
func (j *Journal) Check() error {
	j.Write(Event{Event: "check"})
	if err := j.flush(); err != nil {
		return err
	}
	if !j.verdict.Scan() {
		return errors.New("crashverify has ended")
	}
	if v := j.verdict.Text(); v != clean {
		return fmt.Errorf("%w: %s", ErrViolated, v)
	}
	return nil
}

// ErrViolated is what Check returns when something was lost, came twice or was torn.
var ErrViolated = errors.New("violation")

// Close ends the journal and returns the last verdict.
func (j *Journal) Close() (verdict string, err error) {
	err = errors.Join(j.flush(), j.stdin.Close(), j.file.Close())
	for j.verdict.Scan() {
		verdict = j.verdict.Text()
	}
	return verdict, errors.Join(err, j.verify.Wait())
}
