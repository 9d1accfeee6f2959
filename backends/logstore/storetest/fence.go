// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
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

// Who has lost the store folds nothing of it, and removes nothing: it is another's.
func (s suite) fencedBehind(t *testing.T) {
	h := newHistory(7, 0)
	d := disktest.NewDisk()
	first := s.open(t, Config{FS: d.Process(), Inline: true})
	commit := func(b *logstore.Store, from, to statefun.Epoch) {
		for ; from <= to; from++ {
			if err := h.commit(t, b, from); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(first, 1, 4)
	fs := d.Process()
	if err := fs.Remove("lock"); err != nil {
		t.Fatal(err)
	}
	second := s.open(t, Config{FS: fs, Inline: true})
	commit(second, 5, 6)
	if err := second.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(second, 7, 7)
	if err := first.Fold(t.Context()); !errors.Is(err, backend.ErrFenced) {
		t.Errorf("error %v; want ErrFenced", err)
	}
	_ = first.Close()
	h.check(t, second, 7)
	d.Crash(disktest.Lose)
	_ = second.Close()
	second = s.mustOpen(t, d.Process())
	h.check(t, second, 7)
	_ = second.Close()
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
