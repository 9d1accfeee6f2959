// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millrace-io/millrace/engine"
)

// Peer numbers the deposits between two accounts, as one of them sees it. Late ones are on their own: they
// arrive behind others that were sent after them.
type Peer struct {
	Sent         uint64 `json:"sent,omitempty"`
	Received     uint64 `json:"received,omitempty"`
	SentLate     uint64 `json:"sent_late,omitempty"`
	ReceivedLate uint64 `json:"received_late,omitempty"`
}

// receive counts a deposit and says what is wrong with it: it must be the next one.
func (p *Peer) receive(d Deposit, from string) (fault string) {
	last := &p.Received
	if d.Late {
		last = &p.ReceivedLate
	}
	switch {
	case d.Number > *last+1:
		fault = "lost"
	case d.Number <= *last:
		fault = "duplicated"
	}
	if fault != "" {
		fault = fmt.Sprintf("%s: deposit %d (late: %t) from %s after %d", fault, d.Number, d.Late, from, *last)
	}
	*last = d.Number
	return fault
}

// Client is what an account knows of the requests of one client: how many there were, the last one's number, and
// the sum of all numbers, so that one that is lost does not make up for one that comes twice.
type Client struct {
	Requests uint64 `json:"requests"`
	Last     uint64 `json:"last"`
	Sum      uint64 `json:"sum"`
}

// Chain counts the steps of an account and keeps a hash of all that it has been told, in that order: two
// histories that differ anywhere have different hashes for ever after.
type Chain struct {
	Step uint64
	Hash [16]byte
}

func (c Chain) text() string { return hex.EncodeToString(c.Hash[:]) }

// nextTo numbers a deposit to another account.
func (a *account) nextTo(ctx *engine.Context, to string, late bool) uint64 {
	peers := a.peers.Edit(ctx)
	p := (*peers)[to]
	number := &p.Sent
	if late {
		number = &p.SentLate
	}
	*number++
	keep(peers, to, p)
	return *number
}

// noteDeposit demands that each deposit of another account is the next one.
func (a *account) noteDeposit(ctx *engine.Context, d Deposit) {
	from, ok := ctx.Caller()
	if !ok {
		a.find(ctx, "torn: a deposit of %d without a sender", d.Amount)
		return
	}
	peers := a.peers.Edit(ctx)
	p := (*peers)[from.ID]
	if fault := p.receive(d, from.ID); fault != "" {
		a.find(ctx, "%s", fault)
	}
	keep(peers, from.ID, p)
}

// noteRequest counts a request of a client, and demands that its number grows.
func (a *account) noteRequest(ctx *engine.Context, t Transfer) {
	if t.Client == "" {
		return
	}
	clients := a.clients.Edit(ctx)
	c := (*clients)[t.Client]
	if t.Number <= c.Last {
		a.find(ctx, "duplicated: request %d of %s after %d", t.Number, t.Client, c.Last)
	}
	keep(clients, t.Client, Client{Requests: c.Requests + 1, Last: t.Number, Sum: c.Sum + t.Number})
}

// step adds a message to the chain and sends the statement.
func (a *account) step(ctx *engine.Context, message any) uint64 {
	caller, _ := ctx.Caller()
	text, err := json.Marshal(message)
	if err != nil {
		a.find(ctx, "torn: %v", err)
	}
	chain := a.chain.Edit(ctx)
	chain.Step++
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %q %s", chain.Hash, caller.ID, text))
	copy(chain.Hash[:], sum[:])
	statements.Send(ctx, Statement{Step: chain.Step, Hash: chain.text(), Balance: a.balance.Get(ctx), Fault: a.fault.Get(ctx)})
	return chain.Step
}

// find keeps what is wrong. It stays for everybody to see, and the account goes on.
func (a *account) find(ctx *engine.Context, format string, args ...any) {
	if a.fault.Get(ctx) == "" {
		a.fault.Set(ctx, fmt.Sprintf(format, args...))
	}
}

func keep[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}
