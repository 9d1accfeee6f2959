// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/millrace-io/millrace/engine"

// player implements a function type on one shard: it does what the plans of its messages say.
type player struct {
	run   *run
	kind  int
	slots []slot
}

func (p *player) Small(ctx *engine.Context, m small) error {
	if m.Check != ^m.Serial {
		m.Serial = 0
	}
	_, err := p.handle(ctx, m.Serial, formSmall)
	return err
}

func (p *player) Large(ctx *engine.Context, m large) error {
	serial := m[0]
	if largeOf(serial) != m {
		serial = 0
	}
	_, err := p.handle(ctx, serial, formLarge)
	return err
}

func (p *player) Text(ctx *engine.Context, m string) error {
	_, err := p.handle(ctx, serialOfText(m), formText)
	return err
}

func (p *player) Query(ctx *engine.Context, m query) (string, error) {
	return p.handle(ctx, m.Serial, formQuery)
}

func (p *player) Any(ctx *engine.Context, m engine.TypedValue) error {
	_, err := p.handle(ctx, serialOfAny(m), formAny)
	return err
}
