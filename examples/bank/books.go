// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/inspect"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Books are all the money there is, and all that is known of it, as of one committed epoch: what a crash right
// after it would leave.
type Books struct {
	Epoch      statefun.Epoch      `json:"epoch"`
	Generation statefun.Generation `json:"generation"`
	Accounts   map[string]Standing `json:"accounts"`
	// InFlight and Delayed are deposits that have left an account and not reached another, in the order in which
	// those of one account arrive. Waiting are requests that no account has seen to yet.
	InFlight []Letter `json:"in_flight"`
	Delayed  []Letter `json:"delayed"`
	Waiting  []Letter `json:"waiting"`
	// Statements are those that have not been handed over for good.
	Statements []Letter `json:"statements"`
	Suspended  []string `json:"suspended"`
}

// Letter is something on its way. What it has not got is left out.
type Letter struct {
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Amount int64  `json:"amount,omitempty"`
	Late   bool   `json:"late,omitempty"`
	Client string `json:"client,omitempty"`
	Number uint64 `json:"number,omitempty"`
	Hash   string `json:"hash,omitempty"`

	order uint64
}

// readBooks reads the newest committed epoch of a store. Books of a store that has none are empty.
func readBooks(ctx context.Context, store backend.Backend) (*Books, error) {
	for {
		b, err := tryBooks(ctx, store)
		if !errors.Is(err, inspect.ErrChanged) { // Another epoch was committed meanwhile.
			return b, err
		}
	}
}

func tryBooks(ctx context.Context, store backend.Backend) (*Books, error) {
	b := &Books{Accounts: map[string]Standing{}}
	cp, err := inspect.Read(ctx, store)
	if errors.Is(err, inspect.ErrNone) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	b.Epoch, b.Generation = cp.Epoch, cp.Generation
	for e, err := range cp.All(ctx) {
		if err == nil {
			err = b.add(e)
		}
		if err != nil {
			return nil, err
		}
	}
	inOrder := func(a, b Letter) int { return cmp.Compare(a.order, b.order) }
	slices.SortFunc(b.InFlight, inOrder)
	slices.SortFunc(b.Delayed, inOrder)
	return b, nil
}

func (b *Books) add(e inspect.Entry) error {
	switch e := e.(type) {
	case inspect.Instance:
		s, err := standing(e.Values)
		if err != nil {
			return fmt.Errorf("account %s: %w", e.Address.ID, err)
		}
		b.Accounts[e.Address.ID] = s
	case inspect.Message:
		return b.message(e)
	case inspect.Delayed:
		d, err := depositType.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("delayed message of %s: %w", e.Sender.ID, err)
		}
		b.Delayed = append(b.Delayed, Letter{From: e.Sender.ID, To: e.Target.ID, Amount: d.Amount, Late: d.Late, Number: d.Number, order: e.Token})
	case inspect.Record:
		s, err := statementType.Decode(e.Value)
		if err != nil {
			return fmt.Errorf("statement of %s: %w", e.Sender.ID, err)
		}
		b.Statements = append(b.Statements, Letter{From: e.Sender.ID, Number: s.Step, Hash: s.Hash})
	case inspect.Suspended:
		b.Suspended = append(b.Suspended, e.Address.ID+": "+e.Reason)
	}
	return nil
}

func (b *Books) message(m inspect.Message) error {
	switch m.Typename {
	case depositType.Typename():
		d, err := depositType.Decode(m.Value)
		if err != nil {
			return fmt.Errorf("message to %s: %w", m.Target.ID, err)
		}
		b.InFlight = append(b.InFlight, Letter{From: m.Caller.ID, To: m.Target.ID, Amount: d.Amount, Late: d.Late, Number: d.Number, order: m.Number})
	case transferType.Typename():
		t, err := transferType.Decode(m.Value)
		if err != nil {
			return fmt.Errorf("message to %s: %w", m.Target.ID, err)
		}
		b.Waiting = append(b.Waiting, Letter{To: m.Target.ID, Client: t.Client, Number: t.Number})
	}
	return nil
}

// standing reads the state of an account.
func standing(values []inspect.Value) (s Standing, err error) {
	s.Hash = Chain{}.text()
	for _, v := range values {
		switch v.Name {
		case "balance":
			s.Balance, err = statefun.Int64.Decode(v.Bytes)
		case "peers":
			s.Peers, err = peersType.Decode(v.Bytes)
		case "clients":
			s.Clients, err = clientsType.Decode(v.Bytes)
		case "fault":
			s.Fault, err = statefun.String.Decode(v.Bytes)
		case "chain":
			var c Chain
			c, err = chainType.Decode(v.Bytes)
			s.Step, s.Hash = c.Step, c.text()
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	return s, nil
}

// Totals are Books in short.
type Totals struct {
	Epoch    statefun.Epoch `json:"epoch"`
	Accounts int            `json:"accounts"`
	Balances int64          `json:"balances"`
	InFlight int64          `json:"in_flight"`
	Delayed  int64          `json:"delayed"`
}

func (b *Books) totals() Totals {
	t := Totals{Epoch: b.Epoch, Accounts: len(b.Accounts)}
	for _, a := range b.Accounts {
		t.Balances += a.Balance
	}
	for _, l := range b.InFlight {
		t.InFlight += l.Amount
	}
	for _, l := range b.Delayed {
		t.Delayed += l.Amount
	}
	return t
}

// Total is all the money there is.
func (t Totals) Total() int64 { return t.Balances + t.InFlight + t.Delayed }

func (t Totals) String() string {
	verdict := "as it was"
	if t.Total() != int64(t.Accounts)*openingBalance {
		verdict = fmt.Sprintf("WRONG: %d was paid in", int64(t.Accounts)*openingBalance)
	}
	return fmt.Sprintf("epoch %d: %d in %d accounts + %d on the way + %d late = %d, %s",
		t.Epoch, t.Balances, t.Accounts, t.InFlight, t.Delayed, t.Total(), verdict)
}
