// SPDX-License-Identifier: Apache-2.0

//go:build unix

package requestreply

import "syscall"

// silence returns what tells whether nothing has come in on an idle connection: no byte and no end.
func silence(rc syscall.RawConn) func() bool {
	var (
		b   [1]byte
		err error
	)
	read := func(fd uintptr) bool {
		_, err = syscall.Read(int(fd), b[:])
		return true // Do not wait.
	}
	return func() bool { return rc.Read(read) == nil && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK) }
}
