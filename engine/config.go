// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Config says how an engine runs. The zero Config works: it is volatile, and takes every default.
type Config struct {
	// Application names the application in checkpoints and idempotency keys. Default "app".
	Application string
	// Shards is the number of goroutines that run functions. Default: one for each CPU.
	Shards int
	// KeyGroups is how many groups ids are placed in: the most shards there can ever be. It is fixed
	// for the life of an application's checkpoints. Default 128, or Shards if that is more.
	KeyGroups int
	// Backend keeps checkpoints, and Open goes on from the newest of them. The engine does not close it: do so
	// after [Engine.Close]. nil means volatile: epochs are cut, nothing is kept, and nothing is encoded for it.
	Backend backend.Backend
	// EpochInterval is how often a checkpoint is taken. Default 100 ms; EpochsOff takes none, and then
	// egress records leave at once.
	EpochInterval time.Duration
	// QueueBytesMax is the high-water mark: above it ingress waits, or is refused. Messages between
	// functions are never held back. Default 64 MiB.
	QueueBytesMax int64
	// OutboxBytesMax is how many bytes of egress records may be emitted and not delivered: above it functions
	// that emit more wait, and all others go on. Default 1 GiB.
	OutboxBytesMax int64
	// KeysBytesMax is about how much memory idempotency keys may take, with the answers that are kept with them,
	// until their windows are over: some 1,000 bytes each, and the answer. Messages under further keys are refused.
	// Default 1 GiB.
	KeysBytesMax int64
	// PayloadBytesMax bounds a message, a state value and an egress record, encoded. Default 32 MiB.
	PayloadBytesMax int
	// SendsMax bounds the messages and records of one invocation. Default 1,000,000.
	SendsMax int
	// BatchMax is the most messages that move between shards at once. Default 256.
	BatchMax int
	// RingSlots is how many batches a shard may be behind another, or behind a source, before ingress
	// waits for it. Default 64.
	RingSlots int
	// InboxSlots is how many messages from doors and callers may wait at a shard. Default 4096.
	InboxSlots int
	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// Observer is told of each attempt to invoke a function elsewhere. nil: nobody is.
	Observer Observer
	// Seed seeds the jitter of back-off and the secret of the instance tables, which protects them from ids
	// that are made to collide. Leave it 0 except in tests: then both come from the operating system.
	Seed uint64
}

// EpochsOff, as EpochInterval, takes no checkpoints.
const EpochsOff time.Duration = -1

func (c Config) withDefaults() Config {
	setDefault(&c.Application, "app")
	setDefault(&c.Shards, runtime.GOMAXPROCS(0))
	setDefault(&c.KeyGroups, max(128, c.Shards))
	setDefault(&c.EpochInterval, 100*time.Millisecond)
	setDefault(&c.QueueBytesMax, 64<<20)
	setDefault(&c.OutboxBytesMax, 1<<30)
	setDefault(&c.KeysBytesMax, 1<<30)
	setDefault(&c.PayloadBytesMax, 32<<20)
	setDefault(&c.SendsMax, 1_000_000)
	setDefault(&c.BatchMax, 256)
	setDefault(&c.RingSlots, 64)
	setDefault(&c.InboxSlots, 4096)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate reports everything that is wrong with c, after defaults, as one joined error.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	between := func(field string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("engine: Config.%s is %d: want %d to %d", field, v, low, high))
		}
	}
	if len(c.Application) > statefun.NameBytesMax || strings.ContainsAny(c.Application, "\r\n\x00") {
		errs = append(errs, fmt.Errorf("engine: Config.Application %q: want up to %d bytes without line breaks", c.Application, statefun.NameBytesMax))
	}
	between("KeyGroups", int64(c.KeyGroups), 1, statefun.KeyGroupsMax)
	between("Shards", int64(c.Shards), 1, min(int64(c.KeyGroups), shardsMax))
	if c.EpochInterval != EpochsOff && c.EpochInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("engine: Config.EpochInterval is %v: want at least 1ms, or EpochsOff", c.EpochInterval))
	}
	between("QueueBytesMax", c.QueueBytesMax, 1, 1<<50)
	between("OutboxBytesMax", c.OutboxBytesMax, 1, 1<<50)
	between("KeysBytesMax", c.KeysBytesMax, 1, 1<<50)
	between("PayloadBytesMax", int64(c.PayloadBytesMax), 1, 1<<30)
	between("SendsMax", int64(c.SendsMax), 1, 1<<30)
	between("BatchMax", int64(c.BatchMax), 1, 1<<16)
	between("RingSlots", int64(c.RingSlots), 1, 1<<16)
	between("InboxSlots", int64(c.InboxSlots), 1, 1<<24)
	return errors.Join(errs...)
}

// shardsMax keeps the rings between all shards, which grow with the square, within reason.
const shardsMax = 1024
