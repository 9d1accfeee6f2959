// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// counts are how often something was wrong.
type counts struct{ lost, duplicated, torn uint64 }

func (c counts) String() string {
	return fmt.Sprintf("%d lost, %d duplicated, %d torn", c.lost, c.duplicated, c.torn)
}

// seen is what the journal had in it: without that, nothing is proved.
type seen struct {
	cycles, midEpoch, acks, statements, totals, books, moving int
	atRest                                                    bool
}

func (s seen) String() string {
	return fmt.Sprintf("crashverify: %d acknowledged requests, %d statements, %d live totals, %d books of dead banks, %d of them with money on its way",
		s.acks, s.statements, s.totals, s.books, s.moving)
}

// nothing says what was missing.
func (s seen) nothing() string {
	switch {
	case s.acks == 0:
		return "no request was acknowledged"
	case s.statements == 0:
		return "no statement has left the bank"
	case s.books == 0:
		return "no store was read"
	case s.moving == 0:
		return "no crash met money on its way"
	case !s.atRest:
		return "the bank never came to rest"
	}
	return ""
}

// verifier follows what the bank has told the world, and holds each of its stores against that.
type verifier struct {
	counts  counts
	seen    seen
	details io.Writer
	history
}

// history is that of one store.
type history struct {
	opening  int64
	epoch    uint64 // The newest that was known to be durable.
	accounts int64  // How many there were.
	resting  bool
	requests requests
	chains   map[string]*chain
	faults   map[string]bool     // Accounts whose fault is counted.
	live     map[string]*Account // As a live bank has shown them last.
}

func newVerifier(details io.Writer) *verifier {
	return &verifier{details: details, history: newHistory(0)}
}

func newHistory(opening int64) history {
	return history{
		opening: opening, requests: newRequests(), chains: map[string]*chain{}, faults: map[string]bool{}, live: map[string]*Account{},
	}
}

func (v *verifier) lost(n uint64, format string, args ...any) {
	v.counts.lost += n
	v.say("lost", format, args...)
}

func (v *verifier) duplicated(n uint64, format string, args ...any) {
	v.counts.duplicated += n
	v.say("duplicated", format, args...)
}

func (v *verifier) torn(format string, args ...any) {
	v.counts.torn++
	v.say("torn", format, args...)
}

func (v *verifier) say(what, format string, args ...any) {
	fmt.Fprintf(v.details, "%s: cycle %d: %s\n", what, v.seen.cycles+1, fmt.Sprintf(format, args...))
}

func (v *verifier) see(e *Event) error {
	switch e.Event {
	case "store":
		v.history = newHistory(e.Opening)
	case "send":
		return v.requests.send(e)
	case "ack":
		v.seen.acks++
		return v.acked(e)
	case "statement":
		v.seen.statements++
		v.statement(e)
	case "standing":
		if e.Standing == nil {
			return fmt.Errorf("standing without standing")
		}
		v.standing(e.Account, e.Standing)
	case "totals":
		if e.Totals == nil {
			return fmt.Errorf("totals without totals")
		}
		v.seen.totals++
		v.durable(e.Epoch)
		v.money(e.Epoch, *e.Totals)
	case "books":
		if e.Books == nil {
			return fmt.Errorf("books without books")
		}
		v.books(e.Books)
	case "death":
		if e.MidEpoch {
			v.seen.midEpoch++
		}
	case "cycle":
		v.seen.cycles++
	case "rest":
		v.resting = true
	case "check":
	default:
		return fmt.Errorf("unknown event %q", e.Event)
	}
	return nil
}

func (v *verifier) durable(epoch uint64) { v.epoch = max(v.epoch, epoch) }

// books holds what a dead bank's store holds against everything that is known.
func (v *verifier) books(b *Books) {
	v.seen.books++
	if len(b.InFlight)+len(b.Delayed) > 0 {
		v.seen.moving++
	}
	if b.Epoch < v.epoch {
		v.lost(v.epoch-b.Epoch, "the store is at epoch %d, and %d was durable", b.Epoch, v.epoch)
	}
	v.durable(b.Epoch)
	totals := Totals{Accounts: int64(len(b.Accounts))}
	for _, a := range b.Accounts {
		totals.Balances += a.Balance
	}
	for _, l := range b.InFlight {
		totals.InFlight += l.Amount
	}
	for _, l := range b.Delayed {
		totals.Delayed += l.Amount
	}
	v.money(b.Epoch, totals)
	v.pairs(b)
	v.counted(b)
	v.published(b)
	for id, a := range b.Accounts {
		v.fault(id, a.Fault)
	}
	for _, s := range b.Suspended {
		v.torn("suspended: %s", s)
	}
	if v.resting {
		v.seen.atRest = true
		v.rested(b)
	}
}

// money demands that nothing has come or gone but what accounts are opened with.
func (v *verifier) money(epoch uint64, t Totals) {
	if sum, want := t.Balances+t.InFlight+t.Delayed, t.Accounts*v.opening; sum != want {
		v.torn("epoch %d: %d in %d accounts, %d on the way and %d late are %d, want %d",
			epoch, t.Balances, t.Accounts, t.InFlight, t.Delayed, sum, want)
	}
	if t.Accounts < v.accounts {
		v.lost(uint64(v.accounts-t.Accounts), "epoch %d: %d accounts are left of %d", epoch, t.Accounts, v.accounts)
	}
	v.accounts = max(v.accounts, t.Accounts)
}

// fault counts what an account has found wrong itself. It keeps the first, which begins with what it is.
func (v *verifier) fault(account, text string) {
	if text == "" || v.faults[account] {
		return
	}
	v.faults[account] = true
	switch what, _, _ := strings.Cut(text, ":"); what {
	case "lost":
		v.lost(1, "account %s: %s", account, text)
	case "duplicated":
		v.duplicated(1, "account %s: %s", account, text)
	default:
		v.torn("account %s: %s", account, text)
	}
}

// standing notes what a live bank says of an account.
func (v *verifier) standing(account string, a *Account) {
	v.know(account, a.Step, a.Hash, "a live bank")
	v.fault(account, a.Fault)
	v.live[account] = a
}

// rested demands that there is nothing left to do, and that the bank has said so.
func (v *verifier) rested(b *Books) {
	if len(b.InFlight)+len(b.Delayed)+len(b.Waiting) > 0 {
		v.torn("at rest %d deposits are on the way and %d late, %d requests wait", len(b.InFlight), len(b.Delayed), len(b.Waiting))
	}
	for _, l := range b.Statements {
		if left := v.chain(l.From).left; left < l.Number {
			v.lost(1, "at rest the statement of step %d of account %s has not left", l.Number, l.From)
		}
	}
	for id, a := range b.Accounts {
		if said, asked := v.live[id]; asked && !reflect.DeepEqual(*said, a) {
			v.torn("at rest the store has %+v of account %s, and the live bank had %+v", a, id, *said)
		}
	}
	for client, r := range v.requests.outstanding {
		v.torn("at rest request %d of %s has no answer", r.number, client)
	}
}
