// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// file is an open file.
type file struct {
	process *process
	disk    *Disk
	node    *node
	name    string
	locked  bool
	closed  bool
}

func (f *file) begin(op Op) error {
	if f.closed {
		return fmt.Errorf("%v: %w", op, fs.ErrClosed)
	}
	return f.process.begin(op)
}

func (f *file) ReadAt(b []byte, at int64) (n int, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.begin(Op{Kind: OpRead, Name: f.name, At: at, Bytes: len(b)}); err != nil {
		return 0, err
	}
	if at < int64(len(f.node.data)) {
		n = copy(b, f.node.data[at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, at int64) (n int, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n = len(b)
	if err = f.begin(Op{Kind: OpWrite, Name: f.name, At: at, Bytes: len(b)}); err != nil {
		var short Short
		if !errors.As(err, &short) {
			return 0, err
		}
		n = min(short.Bytes, len(b))
	}
	if n > 0 {
		f.node.own()
		w := write{at: at, data: slices.Clone(b[:n])}
		f.node.writes = append(f.node.writes, w)
		f.node.data = put(f.node.data, w.at, w.data)
	}
	return n, err
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed || f.process.epoch != f.disk.epoch {
		return 0, fmt.Errorf("size of %s: %w", f.name, fs.ErrClosed)
	}
	return int64(len(f.node.data)), nil
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.begin(Op{Kind: OpTruncate, Name: f.name, At: size}); err != nil {
		return err
	}
	f.node.truncate(size)
	return nil
}

func (n *node) truncate(size int64) {
	n.own()
	n.writes = append(n.writes, write{at: size})
	n.data = resize(n.data, size)
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.begin(Op{Kind: OpSync, Name: f.name})
	if err == nil {
		f.node.settle(Keep)
	}
	if err == nil || errors.Is(err, ErrDead) {
		return err
	}
	// Every other part has reached the disk, and the system will not write the others again.
	odd := false
	f.node.settle(func() bool { odd = !odd; return odd })
	return err
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return fmt.Errorf("close %s: %w", f.name, fs.ErrClosed)
	}
	f.closed = true
	if f.locked && f.node.owner == f.process {
		f.node.owner = nil
	}
	return nil
}
