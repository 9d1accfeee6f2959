// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/file/disk"
	"github.com/millrace-io/millrace/backends/file/filetest"
)

// thief takes the lock away while a log is being synced.
type thief struct {
	disk.FS
	steal func()
}

type stolen struct {
	disk.File
	t    *thief
	name string
}

func (t *thief) Open(name string) (disk.File, error) {
	f, err := t.FS.Open(name)
	return stolen{f, t, name}, err
}

func (s stolen) Sync() error {
	if err := s.File.Sync(); err != nil {
		return err
	}
	if strings.HasPrefix(s.name, "log-") && s.t.steal != nil {
		s.t.steal()
	}
	return nil
}

func (t *thief) Still(name string, f disk.File) error {
	if s, ok := f.(stolen); ok {
		f = s.File
	}
	return t.FS.Still(name, f)
}

// Whoever takes the store while a commit is being written may not have seen it: it is not reported as done.
func TestFencedDuringCommit(t *testing.T) {
	h := newHistory(2, 0)
	d := filetest.NewDisk()
	fs := &thief{FS: d.Process()}
	b := mustOpen(t, fs)
	if err := h.commit(t, b, 1); err != nil {
		t.Fatal(err)
	}
	fs.steal = func() {
		fs.steal = nil
		other := d.Process()
		if err := other.Remove(lockName); err != nil {
			t.Error(err)
		}
		if _, err := other.Lock(lockName); err != nil {
			t.Error(err)
		}
	}
	if err := h.commit(t, b, 2); !errors.Is(err, backend.ErrFenced) {
		t.Errorf("error %v; want ErrFenced", err)
	}
	h.check(t, b, 1)
}
