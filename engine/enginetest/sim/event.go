// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// submitEvent leaves an event under a key with the engine: all messages that its router makes of it go in, each under
// the key, and to several shards. After a crash some of them may be there, and others not; they come again together.
func (r *run) submitEvent(c *client) error {
	if c.parts == nil {
		r.divide(c)
	}
	t := envelope.Ticket{
		Durable: c.root.durable && r.Case.Config.epochs(), Key: c.key(), Body: c.body(), Window: keyWindow,
	}
	r.routing, r.written = c, nil
	err := r.app.Route("sim/in", r.event(c.root), t, func(i int, t *envelope.Ticket) { r.tell(c.parts[i], t) })
	r.routing = nil
	if err != nil {
		for _, part := range r.written {
			r.model.withdraw(part.message)
		}
		return err
	}
	for _, part := range c.parts {
		r.clients.letIn(part)
	}
	return nil
}

// divide makes a client of each message. Of several to one address all but the first have their number in the key.
func (r *run) divide(c *client) {
	c.digest = uint64(slices.Index(r.Case.Program.roots, c.root))
	c.name = binary.BigEndian.AppendUint64([]byte("event"), c.digest)
	numbers := map[address]int{}
	for _, p := range c.root.messages {
		part := &client{whole: c, name: c.name, digest: c.digest, root: &root{
			from: c.root.from, messages: []*plan{p}, durable: c.root.durable, keyed: true,
		}}
		if n := numbers[p.to]; n > 0 {
			part.name = fmt.Appendf(slices.Clone(c.name), "\x00%d", n)
		}
		numbers[p.to]++
		c.parts = append(c.parts, part)
	}
}

// routed has the router make the message of a part.
func (r *run) routed(part *client) {
	if r.write(part) {
		r.written = append(r.written, part)
	}
}
