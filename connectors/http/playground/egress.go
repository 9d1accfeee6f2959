// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
)

var _ connector.Sink = (*egress)(nil)

const (
	egressID = "io.statefun.playground/egress"

	// queuedMax is StateFun's limit for one topic. Its other limit is the memory of its machine; that of
	// this process is shared with all else, so it has a number.
	queuedMax      = 1 << 20
	queuedBytesMax = 256 << 20
)

// egress is a sink that keeps records until somebody fetches them.
type egress struct {
	address string
	server  *server.Server
	topics  *topics
	dropped drops
}

func newEgress(c config, names []string) *egress {
	e := &egress{address: c.address, topics: newTopics(names, queuedMax, queuedBytesMax), dropped: drops{log: c.log}}
	e.server = c.server("playground egress", e.serve)
	return e
}

// Open begins to listen.
func (e *egress) Open(ctx context.Context) error {
	if err := e.server.Open(ctx, nil); err != nil {
		return fmt.Errorf("playground: egress %s: %w", e.address, err)
	}
	return nil
}

// Publish puts the payload into its topic. That is as delivered as it gets: what is dropped, and what
// nobody fetches before the process ends, is lost.
func (e *egress) Publish(r connector.Record, done func(error)) { done(e.publish(r)) }

func (e *egress) publish(r connector.Record) error {
	topic, payload, err := parseRecord(r)
	switch {
	case err != nil:
		return fmt.Errorf("playground: egress %s: %w", e.address, err)
	case !e.topics.has(topic):
		return fmt.Errorf("playground: egress %s: unknown topic %s: add it to the topics of the egress", e.address, clip(topic))
	}
	if !e.topics.push(topic, payload) {
		e.dropped.note(topic)
	}
	return nil
}

// Close stops to accept, answers what is being asked, and cuts the connections that are left when ctx is
// done.
func (e *egress) Close(ctx context.Context) error {
	if err := e.server.Close(ctx); err != nil {
		return fmt.Errorf("playground: egress %s: close: %w", e.address, err)
	}
	return nil
}

func (e *egress) serve(ctx *fasthttp.RequestCtx) *server.Problem {
	path, _, p := server.Path(ctx.Request.Header.RequestURI())
	if p != nil {
		return p
	}
	name, p := server.Unescape(nil, path)
	if p != nil {
		return p
	}
	topic := string(name)
	if !e.topics.has(topic) {
		setStatus(&ctx.Response, fasthttp.StatusMethodNotAllowed)
		return nil
	}
	next := e.topics.pop
	if ctx.IsHead() {
		next = e.topics.peek // Its answer has no body, so the payload would be gone unseen.
	}
	payload, ok := next(topic)
	if !ok {
		setStatus(&ctx.Response, fasthttp.StatusNotFound)
		return nil
	}
	ctx.SetBodyString(payload)
	return nil
}

// drops counts the payloads that were dropped, and says so once in a while.
type drops struct {
	log *slog.Logger

	mu    sync.Mutex
	count int       // Guarded by mu.
	said  time.Time // Guarded by mu.
}

const dropsPause = 10 * time.Second

func (d *drops) note(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	if now := time.Now(); now.Sub(d.said) >= dropsPause {
		d.said = now
		d.log.Warn("playground egress is full and drops payloads: fetch them faster", "topic", topic, "dropped", d.count)
	}
}
