// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/inspect"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Checkpoint is a checkpoint in short. Its JSON is an interface.
type Checkpoint struct {
	Epoch       uint64 `json:"epoch"`
	Generation  uint64 `json:"generation"`
	CreatedAtMS int64  `json:"created_at_ms"` // Since 1970.
	Instances   int64  `json:"instances"`
	InFlight    int64  `json:"in_flight"`
	Timers      int64  `json:"timers"`
	Outbox      int64  `json:"outbox"`
	Bytes       int64  `json:"bytes"`
}

// CreatedAt returns when the checkpoint was made.
func (c Checkpoint) CreatedAt() time.Time { return time.UnixMilli(c.CreatedAtMS).UTC() }

// Inspection is a checkpoint with more than its counts. Its JSON is an interface.
type Inspection struct {
	Checkpoint
	StateHash   string   `json:"state_hash"`
	Sum         *big.Int `json:"sum,omitempty"`           // Of what [Question.Sum] names.
	SumInFlight *big.Int `json:"sum_in_flight,omitempty"` // Of what [Question.SumInFlight] names.
}

// Question is what is to be added up.
type Question struct {
	Sum         string // An integer state, <namespace>/<type>:<state>; empty: none.
	SumInFlight string // The typename of messages that are integers; empty: none.
}

// ErrQuestion is returned for a question that the store has no answer to.
var ErrQuestion = errors.New("bad question")

// sums returns what adds up, or what is wrong with the question.
func (q Question) sums() (states *inspect.StateSum, payloads *inspect.PayloadSum, err error) {
	states, payloads = &inspect.StateSum{}, &inspect.PayloadSum{Typename: q.SumInFlight}
	if q.Sum != "" {
		function, name, ok := strings.Cut(q.Sum, ":")
		t, bad := statefun.ParseFunctionType(function)
		if !ok || bad != nil || name == "" {
			return nil, nil, fmt.Errorf("sum: %q, want <namespace>/<type>:<state>", q.Sum)
		}
		states.Function, states.Name = t, name
	}
	if q.SumInFlight != "" {
		if err := statefun.ValidateTypename(q.SumInFlight); err != nil {
			return nil, nil, fmt.Errorf("sum-in-flight: %w", err)
		}
	}
	return states, payloads, nil
}

// Validate reports what is wrong with q.
func (q Question) Validate() error {
	_, _, err := q.sums()
	return err
}

// Shared is a store that can be looked at while an engine commits to it. A look begins between two commits, and
// sees nothing of those behind it.
type Shared struct {
	backend.Backend

	mu sync.Mutex // Held by commits, and to begin a look.
}

// Commit implements [backend.Backend].
func (s *Shared) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Backend.Commit(ctx, cp, parts)
}

// List returns the checkpoints that the store keeps, the newest first: one, or none.
func (s *Shared) List(ctx context.Context) ([]Checkpoint, error) {
	i, err := s.Inspect(ctx, Question{})
	if errors.Is(err, inspect.ErrNone) {
		return []Checkpoint{}, nil
	}
	if err != nil {
		return nil, err
	}
	return []Checkpoint{i.Checkpoint}, nil
}

// Inspect reads the newest checkpoint; inspect.ErrNone: there is none.
func (s *Shared) Inspect(ctx context.Context, q Question) (i Inspection, err error) {
	states, payloads, err := q.sums()
	if err != nil {
		return i, err
	}
	cp, entries, end, err := s.begin(ctx)
	if err != nil {
		return i, err
	}
	defer end()
	var sums []inspect.Adder
	if q.Sum != "" && !knows(cp, states) {
		return i, fmt.Errorf("%w: sum: no checkpoint has a state %q", ErrQuestion, q.Sum)
	}
	if q.Sum != "" {
		i.Sum, sums = &states.Total, append(sums, states)
	}
	if q.SumInFlight != "" {
		i.SumInFlight, sums = &payloads.Total, append(sums, payloads)
	}
	sum, err := inspect.Summarize(entries, sums...)
	i.Checkpoint = Checkpoint{
		Epoch: uint64(cp.Epoch), Generation: uint64(cp.Generation), CreatedAtMS: cp.CreatedAt,
		Instances: sum.Instances, InFlight: sum.Messages, Timers: sum.Delayed, Outbox: sum.Records, Bytes: sum.Bytes,
	}
	i.StateHash = sum.State.String()
	return i, err
}

// knows reports whether a checkpoint can have a state: a sum over a misspelt one would be 0. A function elsewhere that
// has not answered yet has none, and may have any.
func knows(cp *inspect.Checkpoint, s *inspect.StateSum) bool {
	return slices.ContainsFunc(cp.Functions, func(f inspect.Function) bool {
		return f.Type == s.Function &&
			(len(f.States) == 0 || slices.ContainsFunc(f.States, func(v inspect.State) bool { return v.Name == s.Name }))
	})
}

// begin opens the newest checkpoint for reading. A store fixes what is read when the first entry is asked for.
func (s *Shared) begin(ctx context.Context) (cp *inspect.Checkpoint, entries iter.Seq2[inspect.Entry, error], end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cp, err = inspect.Read(ctx, s.Backend); err != nil {
		return nil, nil, nil, err
	}
	next, end := iter.Pull2(cp.All(ctx))
	e, bad, ok := next()
	return cp, func(yield func(inspect.Entry, error) bool) {
		for ok && yield(e, bad) {
			e, bad, ok = next()
		}
	}, end, nil
}
