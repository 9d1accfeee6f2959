// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
)

// childStore makes the test binary a process that commits a history to the store in this directory, epoch by
// epoch, and says so. At the end it stays.
const childStore = "MILLRACE_TEST_STORE"

// Main runs the tests of a binary that calls [Run]: its TestMain. Some of them start the binary as other processes.
func Main(m *testing.M, f Factory) {
	if dir := os.Getenv(childStore); dir != "" {
		if err := (suite{f}).child(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func childHistory() *history { return newHistory(40, longerThanSegment) }

func (s suite) child(dir string) error {
	ctx := context.Background()
	b, err := s.Open(ctx, tiny(Config{Dir: dir}), Options)
	if err != nil {
		return err
	}
	fmt.Println("open")
	h := childHistory()
	cp, _, err := b.Latest(ctx)
	if err != nil {
		return err
	}
	for epoch := cp.Epoch + 1; epoch <= h.last(); epoch++ {
		if err := b.Commit(ctx, h.checkpoint(b, epoch), h.parts[epoch-1]); err != nil {
			return err
		}
		fmt.Println(epoch)
	}
	// Until it is killed. A bare select would be a deadlock to the runtime, which ends the process by itself.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}

// startChild starts such a process. next returns the next epoch that it says it has committed.
func startChild(t *testing.T, dir string) (cmd *exec.Cmd, next func() statefun.Epoch) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // It has been killed, which is what Wait reports.
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the process says %q", lines.Text())
	}
	return cmd, func() statefun.Epoch {
		if !lines.Scan() {
			return 0
		}
		epoch, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
		return statefun.Epoch(epoch)
	}
}

// A second process is refused, by the name of the first, and the store is free as soon as the first is dead,
// however it died. Nothing that it has said it had committed is lost.
func (s suite) processes(t *testing.T) {
	h := childHistory()
	dir := filepath.Join(t.TempDir(), "deep", "down", "store")
	var committed statefun.Epoch
	for killAt := statefun.Epoch(5); committed < h.last(); killAt += 9 {
		cmd, next := startChild(t, dir)
		for committed < min(killAt, h.last()) {
			if committed = next(); committed == 0 {
				t.Fatal("the process has ended")
			}
		}
		_, err := s.Open(t.Context(), Config{Dir: dir}, Options)
		if pid := fmt.Sprint("process ", cmd.Process.Pid); !errors.Is(err, logstore.ErrLocked) || !strings.Contains(err.Error(), pid) {
			t.Fatalf("error %v; want ErrLocked and %q", err, pid)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for { // What it has said before it died. Wait would throw that away.
			epoch := next()
			if epoch == 0 {
				break
			}
			committed = epoch
		}
		_ = cmd.Wait() // It has been killed, which is what Wait reports.
		b, err := s.Open(t.Context(), tiny(Config{Dir: dir}), Options)
		if err != nil {
			t.Fatal(err)
		}
		committed = h.check(t, b, committed, committed+1)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whose directory is no longer where it was has no store any more, whatever its open files say.
func (s suite) directoryTakenAway(t *testing.T) {
	h := newHistory(4, 0)
	for name, take := range map[string]func(t *testing.T, dir string) (end func()){
		"removed": func(t *testing.T, dir string) func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		"moved": func(t *testing.T, dir string) func() {
			if err := os.Rename(dir, dir+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		"replaced": func(t *testing.T, dir string) func() {
			if err := os.Rename(dir, dir+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
			b, err := s.Open(t.Context(), Config{Dir: dir}, Options)
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = b.Close() }
		},
		"lock removed, and another process": func(t *testing.T, dir string) func() {
			if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
				t.Fatal(err)
			}
			b, err := s.Open(t.Context(), Config{Dir: dir}, Options)
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				h.check(t, b, 1)
				if err := h.commit(t, b, 2); err != nil {
					t.Errorf("commit by the new owner: %v", err)
				}
				_ = b.Close()
			}
		},
		"log removed": func(t *testing.T, dir string) func() {
			if err := os.Remove(filepath.Join(dir, "log-000000000001")); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			b, err := s.Open(t.Context(), Config{Dir: dir}, Options)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.commit(t, b, 1); err != nil {
				t.Fatal(err)
			}
			end := take(t, dir)
			defer end()
			for range 2 {
				if err := h.commit(t, b, 2); !errors.Is(err, backend.ErrFenced) || !strings.Contains(err.Error(), dir) {
					t.Errorf("error %v; want ErrFenced and the path", err)
				}
			}
			h.check(t, b, 1)
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is not a directory, or cannot be made one, is refused.
func (s suite) notADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "store")} {
		if _, err := s.Open(t.Context(), Config{Dir: dir}, Options); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("open of %s: error %v; want one that names it", dir, err)
		}
	}
}
