// SPDX-License-Identifier: Apache-2.0

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package disk

import (
	"errors"
	"fmt"
	"os"
)

// Without a lock that the system gives back when its holder dies, nobody could tell who owns a store.
func lock(f *os.File) error {
	return fmt.Errorf("flock %s: %w", f.Name(), errors.ErrUnsupported)
}

func unlock(*os.File) error { return nil }
