// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package tracer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// numbers are the system calls that can count. The argument says what they are about.
var numbers = map[uint64]struct {
	name string
	path int // Which argument is a name, behind the directory that it is in; 0: the first is an open file.
}{
	syscall.SYS_OPENAT: {"openat", 1}, syscall.SYS_MKDIRAT: {"mkdirat", 1}, syscall.SYS_UNLINKAT: {"unlinkat", 1},
	syscall.SYS_RENAMEAT: {"renameat", 1}, syscall.SYS_LINKAT: {"linkat", 1},
	syscall.SYS_WRITE: {"write", 0}, syscall.SYS_PWRITE64: {"pwrite64", 0}, syscall.SYS_FTRUNCATE: {"ftruncate", 0},
	syscall.SYS_FALLOCATE: {"fallocate", 0}, syscall.SYS_FSYNC: {"fsync", 0}, syscall.SYS_FDATASYNC: {"fdatasync", 0},
	syscall.SYS_SYNC_FILE_RANGE: {"sync_file_range", 0}, syscall.SYS_READ: {"read", 0}, syscall.SYS_PREAD64: {"pread64", 0},
}

var errorNumbers = map[string]syscall.Errno{
	"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EROFS": syscall.EROFS, "EMFILE": syscall.EMFILE, "EDQUOT": syscall.EDQUOT,
}

type trace struct {
	plan    Plan
	saw     func(Call)
	errno   syscall.Errno
	leader  int
	threads map[int]bool // Those seen; true: a call of it is failing.
	count   int
	failing string // The name of the calls that fail.
	left    int    // How many more.
	killed  bool   // No call is made any more.
}

// run runs a command to its end. The calling goroutine keeps its thread: only that may trace.
func run(plan Plan, command []string, saw func(Call)) (exitCode int, err error) {
	runtime.LockOSThread()
	t := &trace{plan: plan, saw: saw, threads: map[int]bool{}}
	if plan.Error != "" {
		var known bool
		if t.errno, known = errorNumbers[plan.Error]; !known || !canFail {
			return 0, fmt.Errorf("calls cannot be made to fail with %s here", plan.Error)
		}
	}
	if t.plan.Dir, err = filepath.Abs(plan.Dir); err != nil {
		return 0, err
	}
	terminate := make(chan os.Signal, 8)
	signal.Notify(terminate, syscall.SIGTERM)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t.leader = cmd.Process.Pid
	go func() {
		for range terminate {
			_ = syscall.Kill(t.leader, syscall.SIGTERM) // It may have ended.
		}
	}()
	return t.follow()
}

// follow lets the program run from stop to stop.
func (t *trace) follow() (exitCode int, err error) {
	const (
		exitKill    = 0x100000
		syscallStop = syscall.SIGTRAP | 0x80 // With TRACESYSGOOD.
	)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case !status.Stopped():
			delete(t.threads, pid)
			if pid != t.leader {
				continue
			}
			if status.Signaled() {
				return 128 + int(status.Signal()), nil
			}
			return status.ExitStatus(), nil
		}
		_, known := t.threads[pid]
		deliver := 0
		switch sig := status.StopSignal(); {
		case !known && pid == t.leader: // It is about to begin.
			err = syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill)
			t.threads[pid] = false
		case !known: // A new thread begins with a stop.
			t.threads[pid] = false
		case sig == syscallStop:
			err = t.stopped(pid)
		case sig != syscall.SIGTRAP:
			deliver = int(sig)
		}
		if err == nil {
			err = syscall.PtraceSyscall(pid, deliver)
		}
		if err != nil && err != syscall.ESRCH { // It has been killed in the meantime: the next wait says so.
			return 0, err
		}
	}
}

// info is what the kernel tells of a call, at its entry.
type info struct {
	op    uint8
	_     [3]byte
	_     uint32
	_, _  uint64
	entry struct {
		number uint64
		args   [6]uint64
	}
	_ uint64
}

// stopped looks at a thread that is about to make a call, or has made it.
func (t *trace) stopped(pid int) error {
	const (
		getSyscallInfo = 0x420e
		entry, exit    = 1, 2
	)
	var in info
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(pid), unsafe.Sizeof(in),
		uintptr(unsafe.Pointer(&in)), 0, 0); errno != 0 {
		return errno
	}
	if in.op == exit && t.threads[pid] {
		t.threads[pid] = false
		return fail(pid, t.errno)
	}
	call, counts := numbers[in.entry.number]
	if in.op != entry || !counts || t.killed || !slices.Contains(t.plan.Calls, call.name) {
		return nil
	}
	path := t.opened(int32(in.entry.args[0]))
	if call.path > 0 {
		if name := text(pid, in.entry.args[call.path]); filepath.IsAbs(name) {
			path = name
		} else {
			path = filepath.Join(path, name)
		}
	}
	if path != t.plan.Dir && !strings.HasPrefix(path, t.plan.Dir+"/") {
		return nil
	}
	t.count++
	if t.count == t.plan.At {
		t.failing, t.left = call.name, max(t.plan.Times, 1)
	}
	met := t.left > 0 && t.failing == call.name
	t.saw(Call{t.count, call.name, met, path})
	switch {
	case !met:
		return nil
	case t.errno == 0: // The call is not made: who has been killed gets no further.
		t.killed = true
		return syscall.Kill(t.leader, syscall.SIGKILL)
	}
	t.left--
	t.threads[pid] = true
	return skip(pid)
}

// opened returns the path of an open file, or of the working directory.
func (t *trace) opened(fd int32) string {
	const workingDirectory = -100
	name := fmt.Sprintf("/proc/%d/fd/%d", t.leader, fd)
	if fd == workingDirectory {
		name = fmt.Sprintf("/proc/%d/cwd", t.leader)
	}
	path, _ := os.Readlink(name) // What is not open is not in the directory.
	return path
}

// text reads a string from the memory of a thread.
func text(pid int, at uint64) string {
	b := make([]byte, 4096)
	n, _ := syscall.PtracePeekData(pid, uintptr(at), b) // Less where its memory ends.
	name, _, _ := bytes.Cut(b[:n], []byte{0})
	return string(name)
}
