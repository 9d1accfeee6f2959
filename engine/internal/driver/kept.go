// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// question is what somebody outside asks a shard: what an address has kept.
type question struct {
	function envelope.Function
	hash     uint64
	id       []byte
	entry    chan<- []byte // Has room for the answer.
}

// Kept returns what an address of this shard has kept by now, as a checkpoint would have it; nothing, if it has kept
// nothing. It waits for its turn while ctx lasts: a loop that has been stopped answers no more. Anyone may call it.
func (l *Loop) Kept(ctx context.Context, function envelope.Function, hash uint64, id []byte) ([]byte, error) {
	entry := make(chan []byte, 1)
	select {
	case l.questions <- question{function, hash, id, entry}:
		l.Wake()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case e := <-entry:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer answers one question, between two batches.
func (l *Loop) answer() (any bool) {
	select {
	case q := <-l.questions:
		q.entry <- l.shard.Kept(q.function, q.hash, q.id)
		return true
	default:
		return false
	}
}
