// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
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
func (s suite) fencedDuringCommit(t *testing.T) {
	h := newHistory(2, 0)
	d := disktest.NewDisk()
	fs := &thief{FS: d.Process()}
	b := s.mustOpen(t, fs)
	if err := h.commit(t, b, 1); err != nil {
		t.Fatal(err)
	}
	fs.steal = func() {
		fs.steal = nil
		other := d.Process()
		if err := other.Remove("lock"); err != nil {
			t.Error(err)
		}
		if _, err := other.Lock("lock"); err != nil {
			t.Error(err)
		}
	}
	if err := h.commit(t, b, 2); !errors.Is(err, backend.ErrFenced) {
		t.Errorf("error %v; want ErrFenced", err)
	}
	h.check(t, b, 1)
	_ = b.Close()
}
