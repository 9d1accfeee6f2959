// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"syscall"
	"time"
)

// sleep sleeps for d or, after a signal, less.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil)
}
