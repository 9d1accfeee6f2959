// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/remote"
)

// remoteModel is what a shard must do about functions that run elsewhere, said in maps. Addresses are
// written "cart/a".
type remoteModel struct {
	t        *rapid.T
	r        *remoteRig
	policy   remote.Policy
	known    map[string][]remote.Spec // By function.
	boxes    map[string]*box
	tokens   map[string]int // Live delayed messages that have a token, by "id token".
	delayed  []delayedModel // In the order of sending.
	serial   int
	sent     map[string][]string // By sender, in order.
	fired    []string            // Delayed messages that have come due, in order.
	emitted  map[string][]string
	requests map[*Call]uint64 // Those that have been looked at.

	frozen map[string]map[string]valueModel
	cutAt  clock.Instant
	store  map[string]string // What the parts so far amount to.
}

// box is an address.
type box struct {
	waiting   []string
	values    map[string]valueModel // Those that have expired, too.
	attempts  int
	broken    int
	most      int
	suspended bool
	begun     bool
	// A delivery has begun not before earliest and not after latest.
	earliest, latest clock.Instant
}

type valueModel struct {
	value string
	stamp clock.Instant
}

type delayedModel struct {
	due  clock.Instant
	word string // With the sender.
	key  string // "id token", or none.
}

// delayMost is the longest wait before another attempt.
const delayMost = 300

var modelFunctions = map[string]envelope.Function{"cart": fnCart, "desk": fnDesk}

func newRemoteModel(t *rapid.T, policy remote.Policy) *remoteModel {
	return &remoteModel{
		t: t, policy: policy.WithDefaults(),
		r:     newRemoteRig(t, remoteConfig{near: policy, rig: rigConfig{batchMax: 3}}),
		known: map[string][]remote.Spec{}, boxes: map[string]*box{}, tokens: map[string]int{},
		sent: map[string][]string{}, emitted: map[string][]string{}, requests: map[*Call]uint64{}, store: map[string]string{},
	}
}

func (m *remoteModel) box(address string) *box {
	b := m.boxes[address]
	if b == nil {
		b = &box{values: map[string]valueModel{}}
		m.boxes[address] = b
	}
	return b
}

func (m *remoteModel) word(prefix string) string {
	m.serial++
	return fmt.Sprint(prefix, m.serial)
}

func addressOf(c *Call) string { return c.Target.Name + "/" + string(c.ID) }

// look checks the requests that have been made since the last time: of the first messages that wait, as
// many as may be sent, with all state that is known.
func (m *remoteModel) look() {
	for _, c := range m.r.under {
		if m.requests[c] == c.attempt {
			continue
		}
		m.requests[c] = c.attempt
		b := m.box(addressOf(c))
		if call := clock.Instant(m.policy.Call.Milliseconds()); b.begun {
			if m.r.now-b.latest >= call { // It has waited in line for all of its time.
				b.earliest = m.r.now
			}
			if m.r.now-b.earliest >= call || b.earliest == m.r.now {
				b.latest = m.r.now
			}
		}
		if !b.begun {
			b.begun, b.earliest, b.latest = true, m.r.now, m.r.now
		}
		most := m.policy.MessagesMax
		if b.most > 0 {
			most = min(most, b.most)
		}
		if n := min(len(b.waiting), most); b.suspended || n == 0 || len(c.Messages) != n || c.Attempt != b.attempts+1 {
			m.t.Fatalf("%s with %d messages; want %d, of %+v", m.r.request(c), len(c.Messages), n, *b)
		}
		for i, got := range c.Messages {
			if string(got.Value) != b.waiting[i] || len(got.CallerID) > 0 {
				m.t.Fatalf("%s: message %d; want %s", m.r.request(c), i, b.waiting[i])
			}
		}
		m.lookAtState(c, b)
	}
}

func (m *remoteModel) lookAtState(c *Call, b *box) {
	known := m.known[c.Target.Name]
	if len(c.State) != len(known) {
		m.t.Fatalf("%s shows %d values; %d are known", m.r.request(c), len(c.State), len(known))
	}
	for i, spec := range known {
		v, ok := b.values[spec.Name]
		ok = ok && !m.over(spec, v, m.r.now)
		if got := c.State[i]; got.Name != spec.Name || got.Present != ok || ok && string(got.Value) != v.value {
			m.t.Fatalf("%s at %d; want of %s %+v, %v", m.r.request(c), m.r.now-rigStart, spec.Name, v, ok)
		}
		if ok && spec.Expiry == remote.AfterInvoke {
			b.values[spec.Name] = valueModel{v.value, m.r.now}
		}
	}
}

func (m *remoteModel) over(spec remote.Spec, v valueModel, now clock.Instant) bool {
	return spec.Expiry != remote.Never && now >= v.stamp+clock.Instant(spec.TTL)
}

// post has messages arrive for addresses.
func (m *remoteModel) post(addresses ...string) {
	for _, address := range addresses {
		word := m.word("w") + strings.Repeat("-", m.serial%30)
		name, id, _ := strings.Cut(address, "/")
		m.r.post(modelFunctions[name], id+" "+word)
		b := m.box(address)
		b.waiting = append(b.waiting, word)
		m.look()
	}
}

// fire is what happens to delayed messages when timers have run.
func (m *remoteModel) fire() {
	due := slices.Clone(m.delayed)
	slices.SortStableFunc(due, func(a, b delayedModel) int { return int(a.due - b.due) })
	for _, d := range due {
		if d.due <= m.r.now {
			m.fired = append(m.fired, d.word)
			delete(m.tokens, d.key)
		}
	}
	m.delayed = slices.DeleteFunc(m.delayed, func(d delayedModel) bool { return d.due <= m.r.now })
}

func (m *remoteModel) pass(ms clock.Instant) {
	m.r.pass(ms)
	m.fire()
	m.look()
}

// failed is what happens to an address whose request has left no trace.
func (m *remoteModel) failed(b *box, messages int, reason remote.Reason) {
	b.attempts++
	if messages > 1 && reason != remote.Unreachable {
		b.most = messages / 2
	}
	suspended := false
	if messages == 1 && reason >= remote.Broken {
		b.broken++
		suspended = b.broken >= m.policy.BrokenMax
	}
	f := m.r.s.Failures()
	if len(f) != 1 || f[0].Attempt != b.attempts {
		m.t.Fatalf("failures %+v; want attempt %d", f, b.attempts)
	}
	call := clock.Instant(m.policy.Call.Milliseconds())
	if f[0].Exhausted && (suspended || m.r.now+delayMost-b.earliest < call) || !f[0].Exhausted && !suspended && m.r.now-b.latest >= call {
		m.t.Fatalf("after %d to %d of %d ms: %+v", m.r.now-b.latest, m.r.now-b.earliest, call, f[0])
	}
	if f[0].Exhausted {
		b.begun = m.policy.Exhausted == remote.Retry
		b.earliest, b.latest = m.r.now, m.r.now+delayMost
		suspended = m.policy.Exhausted == remote.Suspend
		if m.policy.Exhausted == remote.DeadLetter {
			m.emitted["dead"] = append(m.emitted["dead"], b.waiting[:messages]...)
			b.waiting = b.waiting[messages:]
			b.attempts, b.broken, b.most = 0, 0, 0
		}
	}
	if b.suspended = suspended; f[0].Suspended != suspended {
		m.t.Fatalf("%+v; want suspended: %v", f[0], suspended)
	}
	m.emptied(b)
}

// emptied forgets what is kept only while messages wait.
func (m *remoteModel) emptied(b *box) {
	if len(b.waiting) == 0 {
		b.attempts, b.broken, b.most, b.begun, b.suspended = 0, 0, 0, false, false
	}
}

// delivered is what happens to an address whose request has taken effect.
func (m *remoteModel) delivered(b *box, messages int) {
	b.waiting = b.waiting[messages:]
	b.attempts, b.broken, b.begun = 0, 0, false
	if b.most *= 2; b.most > m.policy.MessagesMax {
		b.most = 0
	}
	m.emptied(b)
}

// check compares what the shard holds, and what has left it, with the model.
func (m *remoteModel) check() {
	var bytes int64
	records := len(m.delayed)
	for address, b := range m.boxes {
		_, id, _ := strings.Cut(address, "/")
		for _, word := range b.waiting {
			records++
			bytes += envelope.Size
			if len(id) > 16 {
				bytes += int64(len(id))
			}
			if named := 1 + len("test/word") + len(word); named > envelope.InlineData {
				bytes += int64(named)
			}
		}
	}
	if s := m.r.s; s.Waiting() != bytes || m.r.records() != records || s.Delayed() != int64(len(m.delayed)) || len(s.byName) != len(m.tokens) {
		m.t.Fatalf("%d bytes wait, %d records, %d delayed, %d names; want %d, %d, %d, %d",
			s.Waiting(), m.r.records(), s.Delayed(), len(s.byName), bytes, records, len(m.delayed), len(m.tokens))
	}
	sent, fired, emitted := map[string][]string{}, []string(nil), map[string][]string{}
	for _, b := range m.r.s.Drain(0) {
		for i := range b.Envelopes {
			message := m.r.messages(b)[i]
			if fn, from, _ := b.Caller(&b.Envelopes[i]); strings.Contains(message, ":d") {
				fired = append(fired, message)
			} else {
				key := fmt.Sprintf("%s/%s", m.r.s.fns[fn].Type.Name, from)
				sent[key] = append(sent[key], message)
			}
		}
	}
	for _, b := range m.r.s.DrainEgress() {
		for i := range b.Envelopes {
			_, word, _ := strings.Cut(m.r.messages(b)[i], ":")
			name := map[envelope.Function]string{egressOut: "out", egressDead: "dead"}[b.Envelopes[i].Function]
			emitted[name] = append(emitted[name], word)
		}
	}
	for _, diff := range []struct{ what, got, want string }{
		{"sent", fmt.Sprint(sent), fmt.Sprint(m.sent)}, {"fired", fmt.Sprint(fired), fmt.Sprint(m.fired)}, {"emitted", fmt.Sprint(emitted), fmt.Sprint(m.emitted)},
	} {
		if diff.got != diff.want {
			m.t.Fatalf("%s:\n got %s\nwant %s", diff.what, diff.got, diff.want)
		}
	}
	clear(m.sent)
	clear(m.emitted)
	m.fired = nil
}
