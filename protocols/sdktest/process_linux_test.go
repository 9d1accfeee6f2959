// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"os/exec"
	"syscall"
)

func init() {
	endWithParent = func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
}
