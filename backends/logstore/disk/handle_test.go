// SPDX-License-Identifier: Apache-2.0

package disk_test

import (
	"errors"
	"os"
	"testing"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// The last holder closes the file, and nobody else.
func TestHandle(t *testing.T) {
	raw, err := disktest.NewDisk().Process().Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f := disk.NewHandle(raw, "f")
	for range 3 {
		f.Retain()
	}
	for n := range 4 {
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			t.Errorf("after %d were released: %v", n, err)
		}
		f.Release()
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after all were released: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("released once more without a panic")
		}
	}()
	f.Release()
}
