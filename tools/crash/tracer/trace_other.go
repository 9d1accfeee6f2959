// SPDX-License-Identifier: Apache-2.0

//go:build !linux || (!amd64 && !arm64)

package tracer

import "errors"

func run(Plan, []string, func(Call)) (int, error) {
	return 0, errors.New("system calls can be traced on Linux only, on amd64 and arm64")
}
