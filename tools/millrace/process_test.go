// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the command under test, as make build builds it.
var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "millrace")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(folder, "millrace")
	build := exec.Command("go", "build", "-ldflags=-X main.version=v1.2.3 -X main.commit=abc", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// outcome is how a command has ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// millrace runs the binary to its end.
func millrace(t *testing.T, args ...string) outcome {
	t.Helper()
	return millraceWith(t, nil, "", args...)
}

func millraceWith(t *testing.T, env []string, stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience) // What should be refused may run instead.
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// process is a running engine.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	ended  chan struct{} // Closed when it has.
	lines  chan string   // Of its log.
	admin  string
	listen []string

	mu  sync.Mutex
	log strings.Builder // Guarded by mu. All of it.
}

// run starts the binary and waits until it is ready.
func run(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := launch(t, env, args...)
	var ready struct {
		Admin     string
		Addresses []string
	}
	line := p.await(`"msg":"ready"`)
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	p.admin, p.listen = ready.Admin, ready.Addresses
	return p
}

func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan struct{}), lines: make(chan string, 1024)}
	p.cmd = exec.Command(binary, append([]string{"run", "--log-format", "json"}, args...)...)
	p.cmd.Env = append(append(os.Environ(), "MILLRACE_ADMIN=127.0.0.1:0"), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.mu.Lock()
			p.log.WriteString(s.Text() + "\n")
			p.mu.Unlock()
			p.lines <- s.Text()
		}
		_ = p.cmd.Wait() // The state says it.
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // It may have ended.
		<-p.ended
		if t.Failed() {
			t.Logf("the log of %v:\n%s", p.cmd.Args, p.logged())
		}
	})
	return p
}

// patience is for a machine that is busy with something else.
const patience = time.Minute

// await returns the next line of the log that has a text in it.
func (p *process) await(text string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the log ends without %s", text)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("no line of the log has %s", text)
		}
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatal("the process does not end")
		return 0
	}
}

// stop ends the process in good order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.t.Errorf("exit code %d after SIGTERM", code)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// file writes a file and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
