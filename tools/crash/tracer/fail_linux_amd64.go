// SPDX-License-Identifier: Apache-2.0

package tracer

import "syscall"

const canFail = true

// skip has a thread that is about to make a call make none.
func skip(pid int) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &r); err != nil {
		return err
	}
	r.Orig_rax = ^uint64(0)
	return syscall.PtraceSetRegs(pid, &r)
}

// fail has the call that was skipped return an error.
func fail(pid int, errno syscall.Errno) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &r); err != nil {
		return err
	}
	r.Rax = -uint64(errno)
	return syscall.PtraceSetRegs(pid, &r)
}
