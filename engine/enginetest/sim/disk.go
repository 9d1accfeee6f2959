// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
)

// Disk is what a store lies on: it is there before, between and after the processes of a case.
type Disk interface {
	// Open opens the store as a process does that starts. Nothing of the store may run beside the goroutine
	// that calls it.
	Open(o backend.Options) (backend.Backend, error)
	// Trouble has an operation of the store fail, that which comes after so many others. It replaces trouble
	// that has not come yet.
	Trouble(t Trouble, after int)
	// Dead reports whether trouble has ended the process.
	Dead() bool
	// Crash ends the process that has the store open. survives decides for each part of what it has written and
	// not made durable whether it is there for the next one; nil: the system goes on, and all of it is.
	Crash(survives func() bool)
}

// Trouble is a way in which an operation of a store fails.
type Trouble int

// The ways.
const (
	Peace Trouble = iota
	Death         // The process ends within the operation.
	Full          // There is no room, for now.
	Doubt         // It cannot be known what is durable: the store returns an error that stops the engine.
)

// modelDisk holds a backendtest.Model. Its operations are openings and commits; what it has is durable at once.
type modelDisk struct {
	store   *backendtest.Model
	trouble Trouble
	after   int
	dead    bool
}

// NewModelDisk returns a disk for a store that is obviously right.
func NewModelDisk() Disk { return &modelDisk{} }

func (d *modelDisk) Open(o backend.Options) (_ backend.Backend, err error) {
	if d.next() == Death {
		d.dead = true
		return nil, errDead
	}
	if d.store == nil {
		d.store, err = backendtest.NewModel(o)
	} else {
		d.store, err = d.store.Reopen(o)
	}
	return modelStore{d.store, d}, err
}

func (d *modelDisk) Trouble(t Trouble, after int) { d.trouble, d.after = t, after }

func (d *modelDisk) Dead() bool { return d.dead }

func (d *modelDisk) Crash(func() bool) { d.dead, d.trouble = false, Peace }

// next returns what befalls the next operation.
func (d *modelDisk) next() Trouble {
	if d.after--; d.after >= 0 {
		return Peace
	}
	t := d.trouble
	d.trouble = Peace
	return t
}

type modelStore struct {
	*backendtest.Model
	disk *modelDisk
}

// Commit takes two operations: the epoch becomes durable between them.
func (s modelStore) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	if err := s.operation(); err != nil {
		return err
	}
	if err := s.Model.Commit(ctx, cp, parts); err != nil {
		return err
	}
	if err := s.operation(); !errors.Is(err, errFull) {
		return err
	}
	return nil
}

func (s modelStore) operation() error {
	switch s.disk.next() {
	case Death:
		s.disk.dead = true
		return errDead
	case Full:
		return errFull
	case Doubt:
		return backend.ErrSync
	}
	return nil
}

var errFull = errors.New("sim: there is no room")
