// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// server is the process that is overloaded, as the one that does so sees it.
type server struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	dir     string
	address string
	offered chan counts
	heard   chan struct{} // Closed at the end of what it says.

	mu      sync.Mutex
	samples []sample // Guarded by mu.
}

// start starts one with an empty store.
func (p plan) start(ctx context.Context, hashes int) (s *server, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s = &server{offered: make(chan counts, 1), heard: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "overload"); err != nil {
		return nil, err
	}
	p.Dir, p.Hashes = s.dir, hashes
	text, err := json.Marshal(p.settings)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.command = exec.CommandContext(ctx, self, serveArg, string(text))
	s.command.Stderr = os.Stderr
	out, err := s.command.StdoutPipe()
	if err == nil {
		s.stdin, err = s.command.StdinPipe()
	}
	if err == nil {
		err = s.command.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		var first said
		err = json.Unmarshal(lines.Bytes(), &first)
		s.address = first.Address
	}
	go s.listen(lines)
	if s.address == "" {
		return nil, errors.Join(fmt.Errorf("the engine says nothing: %w", errors.Join(err, lines.Err())), s.close())
	}
	return s, nil
}

// listen notes what the process says until it ends.
func (s *server) listen(lines *bufio.Scanner) {
	defer close(s.heard)
	for lines.Scan() {
		var what said
		if json.Unmarshal(lines.Bytes(), &what) != nil {
			continue
		}
		if what.Offered != nil {
			s.offered <- *what.Offered
		}
		if what.Sample != nil {
			s.mu.Lock()
			s.samples = append(s.samples, *what.Sample)
			s.mu.Unlock()
		}
	}
}

// close ends the process, and removes its store.
func (s *server) close() error {
	err := s.stdin.Close()
	<-s.heard
	return errors.Join(err, s.command.Wait(), os.RemoveAll(s.dir))
}

// offer has the process offer messages to itself.
func (s *server) offer(ctx context.Context, rate float64, d time.Duration) (c counts, err error) {
	if err := json.NewEncoder(s.stdin).Encode(offer{rate, d.Seconds()}); err != nil {
		return c, err
	}
	select {
	case c = <-s.offered:
		return c, nil
	case <-s.heard:
		return c, errEnded
	case <-ctx.Done():
		return c, ctx.Err()
	}
}

var errEnded = errors.New("the engine's process has ended")

// during is what the process was like while something was done to it.
func (s *server) during(ctx context.Context, do func() error) (samples []sample, err error) {
	if _, err := s.offer(ctx, 0, 0); err != nil {
		return nil, err
	}
	s.mu.Lock()
	first := len(s.samples) - 1
	s.mu.Unlock()
	if err := do(); err != nil {
		return nil, err
	}
	if _, err := s.offer(ctx, 0, 0); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples[first:], nil
}

// drained waits until nothing is queued any more.
func (s *server) drained(ctx context.Context) error {
	for {
		samples, err := s.during(ctx, func() error { return ctx.Err() })
		if err != nil || samples[len(samples)-1].Queued == 0 {
			return err
		}
		time.Sleep(sampleEvery / 10)
	}
}
