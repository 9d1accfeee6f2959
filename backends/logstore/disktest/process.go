// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/backends/logstore/disk"
)

// Op is an operation, before it happens.
type Op struct {
	Kind  OpKind
	Name  string // The file; when it is renamed, what its name will be.
	At    int64  // Of reads and writes.
	Bytes int    // Of reads and writes.
}

// OpKind says what an operation does.
type OpKind string

// The kinds of operations.
const (
	OpLock     OpKind = "lock"
	OpCreate   OpKind = "create"
	OpOpen     OpKind = "open"
	OpRename   OpKind = "rename"
	OpRemove   OpKind = "remove"
	OpList     OpKind = "list"
	OpSyncDir  OpKind = "sync directory"
	OpRead     OpKind = "read"
	OpWrite    OpKind = "write"
	OpTruncate OpKind = "truncate"
	OpSync     OpKind = "sync"
)

func (o Op) String() string { return fmt.Sprintf("%s %s [%d:+%d]", o.Kind, o.Name, o.At, o.Bytes) }

func (o Op) reads() bool { return o.Kind == OpOpen || o.Kind == OpList || o.Kind == OpRead }

// ErrDead is what a process gets that has been killed. An injection that returns it kills all processes.
var ErrDead = errors.New("disktest: the process is dead")

// Short is an error after which the first bytes of a write are there.
type Short struct {
	Bytes int
	Err   error
}

func (s Short) Error() string { return s.Err.Error() }

// Unwrap returns the error itself.
func (s Short) Unwrap() error { return s.Err }

// Process returns the directory as a new process sees it.
func (d *Disk) Process() disk.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &process{disk: d, epoch: d.epoch}
}

type process struct {
	disk  *Disk
	epoch int
}

// begin is called before each operation, with the disk locked.
func (p *process) begin(op Op) error {
	d := p.disk
	if p.epoch != d.epoch {
		return fmt.Errorf("%v: %w", op, ErrDead)
	}
	if d.inject == nil || (op.reads() && !d.reads) {
		return nil
	}
	err := d.inject(op)
	if errors.Is(err, ErrDead) {
		d.epoch++
	}
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	return nil
}

func (p *process) Lock(name string) (disk.File, error) {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	n := p.disk.now[name]
	if n == nil {
		n = &node{}
		p.disk.rename(nameChange{name: name, node: n})
	}
	if n.owner != nil {
		return nil, disk.ErrLocked
	}
	n.owner = p
	return &file{process: p, disk: p.disk, node: n, name: name, locked: true}, nil
}

func (p *process) Create(name string) (disk.File, error) {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	n := p.disk.now[name]
	if n == nil {
		n = &node{}
		p.disk.rename(nameChange{name: name, node: n})
	}
	n.truncate(0)
	return &file{process: p, disk: p.disk, node: n, name: name}, nil
}

func (p *process) Open(name string) (disk.File, error) {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpOpen, Name: name}); err != nil {
		return nil, err
	}
	n := p.disk.now[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &file{process: p, disk: p.disk, node: n, name: name}, nil
}

func (p *process) Rename(from, to string) error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpRename, Name: to}); err != nil {
		return err
	}
	n := p.disk.now[from]
	if n == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	p.disk.rename(nameChange{name: to, node: n, taken: from})
	return nil
}

func (p *process) Remove(name string) error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	if p.disk.now[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	p.disk.rename(nameChange{name: name})
	return nil
}

func (d *Disk) rename(c nameChange) {
	c.apply(d.now)
	d.names = append(d.names, c)
}

func (p *process) List() ([]string, error) {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpList}); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(p.disk.now)), nil
}

func (p *process) SyncDir() error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if err := p.begin(Op{Kind: OpSyncDir}); err != nil {
		return err
	}
	p.disk.durable, p.disk.names = maps.Clone(p.disk.now), nil
	return nil
}

func (p *process) Still(name string, f disk.File) error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if p.epoch != p.disk.epoch {
		return ErrDead
	}
	switch p.disk.now[name] {
	case nil:
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case f.(*file).node:
		return nil
	}
	return fmt.Errorf("%s: %w", name, disk.ErrReplaced)
}

func (p *process) Close() error { return nil }
