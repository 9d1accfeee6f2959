// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// model is what a shard must do, said in maps: each address's state as describe writes it, the messages
// that wait there, and what it has sent.
type model struct {
	t         *rapid.T
	r         *rig
	state     map[string]probeModel
	waiting   map[string][]string
	suspended map[string]bool
	sent      map[string][]string // By sender: order is promised for each, not between them.

	frozen map[string]string   // The state of all at the last cut,
	flying map[string][]string // and the messages in flight across it.
	store  map[string]string   // What the parts so far amount to.

	reloaded bool
}

type probeModel struct {
	n    int
	text string
	has  [2]bool
}

func (p probeModel) String() string {
	var parts []string
	if p.has[0] {
		parts = append(parts, fmt.Sprintf("n=%d", p.n))
	}
	if p.has[1] {
		parts = append(parts, "text="+p.text)
	}
	return strings.Join(parts, " ")
}

// run is a whole invocation: its effects are returned, and kept by the caller if it does not fail.
func (m *model) run(p probeModel, message string) (after probeModel, sent []string, failed bool) {
	for word := range strings.SplitSeq(message, ";") {
		switch word[0] {
		case '+':
			n := 0
			_, _ = fmt.Sscan(word[1:], &n)
			p.n += n
			p.has[0] = true
		case '=':
			p.text, p.has[1] = word[1:], true
		case '~':
			p = probeModel{}
		case '>', '!', '<':
			sent = append(sent, word)
		case 'f', 'p':
			if word != "flaky" {
				return p, nil, true
			}
			if m.r.flaky > 0 {
				m.r.flaky--
				return p, nil, true
			}
		}
	}
	return p, sent, false
}

// deliver is what happens to a message that arrives.
func (m *model) deliver(id, message string) {
	if len(m.waiting[id]) > 0 {
		m.waiting[id] = append(m.waiting[id], message)
		return
	}
	after, sent, failed := m.run(m.state[id], message)
	if failed {
		m.waiting[id] = append(m.waiting[id], message)
		m.suspended[id] = strings.Contains(message, "permanent")
		return
	}
	m.effect(id, after, sent)
}

func (m *model) effect(id string, after probeModel, sent []string) {
	if after.has == [2]bool{} {
		delete(m.state, id)
	} else {
		m.state[id] = after
	}
	m.sent[id] = append(m.sent[id], sent...)
}

// settle is what happens when all retries are over: each message runs, until one fails for good.
func (m *model) settle() {
	m.r.flaky = 0
	for _, id := range slices.Sorted(maps.Keys(m.waiting)) {
		for !m.suspended[id] && len(m.waiting[id]) > 0 {
			after, sent, failed := m.run(m.state[id], m.waiting[id][0])
			if failed {
				m.suspended[id] = true
				break
			}
			m.effect(id, after, sent)
			m.waiting[id] = m.waiting[id][1:]
		}
		if len(m.waiting[id]) == 0 {
			delete(m.waiting, id)
		}
	}
}

func (m *model) described() map[string]string {
	all := map[string]string{}
	for id, p := range m.state {
		all[id] = p.String()
	}
	return all
}

// check compares shard and model.
func (m *model) check() {
	got := map[string]string{}
	m.r.rows(func(id string, row *table.Row) {
		if row.Present != 0 {
			got[id] = m.r.describe(row)
		} else if len(m.waiting[id]) == 0 {
			m.t.Fatalf("the instance %s is there without state or messages", id)
		}
	})
	if want := m.described(); !maps.Equal(got, want) {
		m.t.Fatalf("state %v; want %v", got, want)
	}
	sent := map[string][]string{}
	collect := func(kind string, batches []*envelope.Batch) {
		for _, b := range batches {
			for _, s := range m.r.messages(b) {
				if from, rest, ok := strings.Cut(s, "→"); ok {
					to, word, _ := strings.Cut(rest, ":")
					if kind == ">" {
						word = to + ":" + word
					}
					sent[from] = append(sent[from], kind+word)
				}
			}
		}
	}
	collect(">", m.r.s.Drain(0))
	collect("<", m.r.s.DrainReplies())
	collect("!", m.r.s.DrainEgress())
	for id, want := range m.sent {
		for _, kind := range []string{">", "<", "!"} {
			of := func(list []string) (of []string) {
				for _, s := range list {
					if s[:1] == kind {
						of = append(of, s)
					}
				}
				return of
			}
			if !slices.Equal(of(sent[id]), of(want)) {
				m.t.Fatalf("%s sent %q; want %q", id, of(sent[id]), of(want))
			}
		}
	}
	clear(m.sent)
	var bytes int64
	for _, messages := range m.waiting {
		for _, message := range messages {
			bytes += envelope.Size
			if len(message) > envelope.InlineData {
				bytes += int64(len(message))
			}
		}
	}
	for id, messages := range m.waiting {
		if len(id) > 16 {
			bytes += int64(len(id) * len(messages))
		}
	}
	if got := m.r.s.Waiting(); got != bytes && !m.reloaded { // What was reloaded comes with its typename.
		m.t.Fatalf("%d bytes wait; want %d", got, bytes)
	}
}

// apply adds a part to the store, as a backend does.
func (m *model) apply(part string) {
	if part == "" {
		return
	}
	for change := range strings.SplitSeq(part, ", ") {
		op, rest, _ := strings.Cut(change, " ")
		id, state, _ := strings.Cut(rest, " ")
		if op == "put" {
			m.store[id] = state
		} else if _, ok := m.store[id]; ok {
			delete(m.store, id)
		} else {
			m.t.Fatalf("the part deletes %s, which the store does not have", id)
		}
	}
}

// Whatever messages do, fail and wait: an invocation is atomic (I1), messages of one address run in order
// (I2), addresses do not touch each other, and the parts of the epochs amount to the state at the cut, to
// the letter, however long what is frozen waits to be encoded (I4).
func TestShardModel(t *testing.T) {
	words := rapid.SampledFrom([]string{"+1", "+5", "=x", "=" + strings.Repeat("y", 50), "=", "~", ">z:1", ">z:2", "!r", "<s", "flaky"})
	messages := rapid.Custom(func(t *rapid.T) string {
		list := rapid.SliceOfN(words, 1, 5).Draw(t, "words")
		if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
			list = append(list, rapid.SampledFrom([]string{"fail", "panic", "permanent"}).Draw(t, "how"))
		}
		return strings.Join(list, ";")
	})
	ids := rapid.SampledFrom([]string{"a", "b", "c", "d", "an-id-of-more-than-sixteen-bytes"})
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			t: t, r: newRig(t, rigConfig{retries: 3, batchMax: 3}),
			state: map[string]probeModel{}, waiting: map[string][]string{}, suspended: map[string]bool{},
			sent: map[string][]string{}, store: map[string]string{},
		}
		r := m.r
		r.lapStep = rapid.SampledFrom([]float64{0, 0.3, 0.5, 1}).Draw(t, "lap step")
		part := func() {
			m.apply(r.part())
			if !maps.Equal(m.store, m.frozen) {
				t.Fatalf("the parts amount to %v; the state at the cut was %v", m.store, m.frozen)
			}
			m.reload()
			m.frozen = nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) {
				r.flaky = rapid.IntRange(0, 2).Draw(t, "flaky")
				before := r.flaky
				var batch []string
				for range rapid.IntRange(1, 6).Draw(t, "messages") {
					id, message := ids.Draw(t, "id"), messages.Draw(t, "message")
					batch = append(batch, id+" "+message)
					m.deliver(id, message)
				}
				r.flaky = before
				r.step(batch...)
			},
			"settle": func(*rapid.T) {
				m.settle()
				r.advance(10 * retryMost)
			},
			"resume": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				if m.suspended[id] {
					m.settle() // Of the others.
					r.advance(10 * retryMost)
					delete(m.suspended, id)
				}
				r.resume(id)
				m.settle()
				r.advance(10 * retryMost)
			},
			"cut": func(t *rapid.T) {
				if m.frozen != nil {
					part()
				}
				m.check() // What has been sent does not go with the part of this test.
				r.cut()
				m.freeze()
			},
			"late": func(t *rapid.T) { // A batch from before the cut.
				if m.frozen == nil {
					return
				}
				r.flaky = 0
				id, message := ids.Draw(t, "id"), messages.Draw(t, "message")
				m.flying[id] = append(m.flying[id], message)
				m.deliver(id, message)
				r.s.Step(r.now, r.batch(r.s.Epoch()-1, id+" "+message))
			},
			"encode": func(t *rapid.T) { r.s.EncodeFrozen(rapid.IntRange(1, 3).Draw(t, "most")) },
			"part": func(*rapid.T) {
				if m.frozen != nil {
					part()
				}
			},
			"": func(*rapid.T) {
				m.check()
				for range r.s.Failures() {
				}
			},
		})
		m.settle()
		r.advance(10 * retryMost)
		m.check()
		if m.frozen != nil {
			part()
		}
		r.cut()
		m.freeze()
		part()
	})
}

func (m *model) freeze() {
	m.frozen, m.flying = m.described(), map[string][]string{}
	for id, messages := range m.waiting {
		m.flying[id] = slices.Clone(messages)
	}
}

// reload recovers from the parts so far: a shard that has the state of the cut, and runs what was in flight across
// it in its order (P9, P10).
func (m *model) reload() {
	was := map[string]bool{}
	again := &model{t: m.t, r: m.r.reloaded(rigConfig{retries: 3, batchMax: 3}, nil), state: map[string]probeModel{}, waiting: m.flying, suspended: was, sent: map[string][]string{}, reloaded: true}
	for id, s := range m.frozen {
		again.state[id] = parseProbe(s)
	}
	for _, f := range again.r.s.Failures() {
		was[f.Address.ID] = true
	}
	again.check()
	for id := range was {
		again.r.resume(id)
	}
	clear(was)
	again.settle()
	again.r.advance(10 * retryMost)
	again.check()
}

func parseProbe(s string) (p probeModel) {
	for field := range strings.FieldsSeq(s) {
		if n, ok := strings.CutPrefix(field, "n="); ok {
			_, _ = fmt.Sscan(n, &p.n)
			p.has[0] = true
		} else {
			p.text, p.has[1] = strings.TrimPrefix(field, "text="), true
		}
	}
	return p
}
