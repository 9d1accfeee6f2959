// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a function server in a process of its own.
type server struct {
	t       *testing.T
	config  serverConfig
	process *process
	orders  string // Where it takes them.
}

// startServer starts the functions, of one version, at a free TCP address or a unix socket.
func startServer(t *testing.T, network, version string) *server {
	t.Helper()
	s := &server{t: t, config: serverConfig{Address: freeAddress(t, network), Version: version}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// freeAddress returns an address that a server can be started at again. Ports from the range for clients
// would not do: while the server is down, a client's own connection may take the port.
func freeAddress(t *testing.T, network string) string {
	t.Helper()
	if network == "unix" {
		dir, err := os.MkdirTemp("", "sdk") // Short: t.TempDir is longer than a socket's name may be.
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return "unix:" + filepath.Join(dir, "fn.sock")
	}
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		l.Close()
		if _, twice := given.LoadOrStore(l.Addr().String(), true); !twice {
			return l.Addr().String()
		}
	}
	t.Fatal("no free port in 100 attempts")
	return ""
}

// given holds the addresses that freeAddress has returned.
var given sync.Map

// start starts the server and returns when it listens.
func (s *server) start() {
	s.t.Helper()
	config, err := json.Marshal(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serverVariable+"="+string(config),
		"GORACE=atexit_sleep_ms=0") // The race detector would have each process linger for a second.
	s.process = startProcess(s.t, cmd, servingAt)
	s.orders = strings.TrimPrefix(s.process.ready, servingAt)
}

// stop ends the server and lets requests that are in progress end.
func (s *server) stop() {
	s.process.stdin.Close()
	s.process.wait(s.t)
}

// replace stops the server and starts another version in its place.
func (s *server) replace(version string) {
	s.t.Helper()
	s.stop()
	s.config.Version = version
	s.start()
}

// kill ends the server where it stands.
func (s *server) kill() { s.process.kill() }

// url is what the engine is told.
func (s *server) url() string {
	if path, ok := strings.CutPrefix(s.config.Address, "unix:"); ok {
		return "http+unix://" + path + "/statefun"
	}
	return "http://" + s.config.Address + "/statefun"
}

// sabotage has the server misbehave.
func (s *server) sabotage(plan sabotage) {
	s.t.Helper()
	body, err := json.Marshal(plan)
	if err != nil {
		s.t.Fatal(err)
	}
	s.ask("POST", "/sabotage", body, nil)
}

func (s *server) stats() (stats serverStats) {
	s.t.Helper()
	s.ask("GET", "/stats", nil, &stats)
	return stats
}

func (s *server) ask(method, path string, body []byte, answer any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.orders+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s, %v: %s", method, path, resp.Status, err, text)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		s.t.Fatal(err)
	}
}

// endWithParent has a process end when this one does, even when that is killed. Where the system has no such
// thing, only the function server does, by its standard input.
var endWithParent = func(*exec.Cmd) {}

// process is a process that a test has started.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ready string // The line that says that it is.
	ended chan struct{}
	err   error // Set once ended is closed.

	mu    sync.Mutex
	lines []string // Guarded by mu. The last that it has written.
}

// linesMax is how many lines of a process are kept, for the log of a test that fails.
const linesMax = 50

// startProcess starts cmd and returns when it has written a line that contains ready.
func startProcess(t *testing.T, cmd *exec.Cmd, ready string) *process {
	t.Helper()
	p := &process{name: filepath.Base(cmd.Path), cmd: cmd, ended: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan string, 1)
	go p.follow(output, ready, up)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s has ended with %v; its last lines:\n%s", p.name, p.err, strings.Join(p.lines, "\n"))
		}
	})
	select {
	case p.ready = <-up:
	case <-p.ended:
		t.Fatalf("%s: %v before it was ready", p.name, p.err)
	case <-time.After(patience):
		t.Fatalf("%s: not ready in %v", p.name, patience)
	}
	return p
}

// follow reads what the process writes until it ends.
func (p *process) follow(output io.Reader, ready string, up chan<- string) {
	defer close(p.ended)
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		line := scanner.Text()
		if up != nil && strings.Contains(line, ready) {
			up <- line
			up = nil
		}
		p.mu.Lock()
		p.lines = append(p.lines[max(0, len(p.lines)-linesMax+1):], line)
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, output) // Behind a line that is too long.
	p.err = p.cmd.Wait()
}

// terminate asks the process to end, as an operator does, and waits.
func (p *process) terminate(t *testing.T) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
	p.wait(t)
	if p.err != nil {
		t.Errorf("%s: %v", p.name, p.err)
	}
}

// wait waits for the process to end, and makes it.
func (p *process) wait(t *testing.T) {
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Errorf("%s: still there after %v", p.name, patience)
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // It may have ended.
	p.stdin.Close()
	<-p.ended
}
