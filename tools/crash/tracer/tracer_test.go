// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package tracer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// writesTo makes the test binary a program that writes to files of this directory, from many goroutines.
const writesTo = "MILLRACE_TRACER_TEST_DIR"

const (
	writers = 4
	rounds  = 10
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Argument {
		os.Exit(Main(os.Args[2:]))
	}
	if dir := os.Getenv(writesTo); dir != "" {
		os.Exit(write(dir))
	}
	os.Exit(m.Run())
}

// write returns how many syncs have failed, or 100 for any other failure.
func write(dir string) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := 0
	for w := range writers {
		wg.Go(func() {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint("file", w)))
			for range rounds {
				_, wrote := f.WriteAt([]byte("x"), 0)
				err = errors.Join(err, wrote)
				if errors.Is(f.Sync(), syscall.EIO) {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
			if err != nil {
				fmt.Println(err)
				os.Exit(100)
			}
		})
	}
	wg.Wait()
	return failed
}

func traced(t *testing.T, dir string, plan Plan) (exitCode int, calls []Call) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := Command(plan, log, exe)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), writesTo+"="+dir)
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if calls, err = ReadLog(log); err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), calls
}

func numbersOf(calls []Call) (n []int) {
	for _, c := range calls {
		n = append(n, c.Number)
	}
	return n
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

// Each call is counted once, whatever thread makes it, and nothing outside of the directory.
func TestCounts(t *testing.T) {
	dir := t.TempDir()
	code, calls := traced(t, dir, Plan{Dir: dir})
	if want := upTo(writers + 2*writers*rounds); code != 0 || !slices.Equal(numbersOf(calls), want) {
		t.Errorf("exit code %d, calls %v; want %v", code, numbersOf(calls), want)
	}
	for _, c := range calls {
		if c.Met || !strings.HasPrefix(c.Path, dir+"/file") {
			t.Errorf("call %v", c)
		}
	}
	code, calls = traced(t, dir, Plan{Dir: filepath.Join(dir, "file1"), Calls: []string{"fsync"}})
	if code != 0 || !slices.Equal(numbersOf(calls), upTo(rounds)) {
		t.Errorf("exit code %d, calls %v", code, calls)
	}
}

// The program dies before the call, whichever it is, and makes no further one.
func TestKill(t *testing.T) {
	for _, at := range []int{1, 2, 17, 50, writers + 2*writers*rounds} {
		dir := t.TempDir()
		code, calls := traced(t, dir, Plan{Dir: dir, At: at})
		if code != 128+9 || !slices.Equal(numbersOf(calls), upTo(at)) || !calls[at-1].Met {
			t.Fatalf("exit code %d, calls %v", code, calls)
		}
		for _, c := range calls {
			_, err := os.Stat(c.Path)
			if there := err == nil; c.Name == "openat" && c.Met && there || c.Name != "openat" && !there {
				t.Errorf("killed at %d: %v: the file is there: %t", at, c, there)
			}
		}
	}
}

// A call that fails does nothing, and its caller is told.
func TestFail(t *testing.T) {
	for _, times := range []int{0, 1, 7} {
		dir := t.TempDir()
		code, calls := traced(t, dir, Plan{Dir: dir, Calls: []string{"fsync"}, At: 5, Error: "EIO", Times: times})
		if code != max(times, 1) || !slices.Equal(numbersOf(calls), upTo(writers*rounds)) {
			t.Errorf("exit code %d, calls %v", code, calls)
		}
		for _, c := range calls {
			if c.Met != (c.Number >= 5 && c.Number < 5+max(times, 1)) {
				t.Errorf("%d times: %v", times, c)
			}
		}
	}
	dir := t.TempDir()
	code, calls := traced(t, dir, Plan{Dir: dir, Calls: []string{"openat"}, At: 1, Error: "EMFILE"})
	if code != 100 || len(calls) == 0 {
		t.Errorf("exit code %d, calls %v", code, calls)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) >= writers {
		t.Errorf("made %v, %v", made, err)
	}
}
