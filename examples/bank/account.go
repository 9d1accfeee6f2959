// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Account is one account, by its number. It opens, with openingBalance, when it is first spoken to.
type Account interface {
	Transfer(*engine.Context, Transfer) (Receipt, error)
	Deposit(*engine.Context, Deposit) error
	Show(*engine.Context, Query) (Standing, error)
}

// openingBalance is what the bank gives to whoever opens an account: all the money there is comes from that.
const openingBalance = 1000

// lateAfter is how long money travels that is sent late. It is the same for all of it, so that what one account
// sends to another arrives in the order in which it was sent.
const lateAfter = 150 * time.Millisecond

// The messages. They are JSON on the wire.
type (
	// Transfer takes money from the account that it is sent to and sends it to another one.
	Transfer struct {
		To     string `json:"to"`
		Amount int64  `json:"amount"`
		Late   bool   `json:"late,omitempty"` // It travels as a delayed message.

		// Who asks, and the number of the request among those of the same client, which never falls.
		Client string `json:"client,omitempty"`
		Number uint64 `json:"number,omitempty"`
	}

	// Receipt answers a Transfer. There are never two of the same step of an account.
	Receipt struct {
		Step    uint64 `json:"step"`
		Balance int64  `json:"balance"`
		Refused bool   `json:"refused,omitempty"`
	}

	// Deposit is money on its way.
	Deposit struct {
		Amount int64  `json:"amount"`
		Late   bool   `json:"late,omitempty"`
		Number uint64 `json:"number"` // Among those that one account has sent to another, late ones apart.
	}

	// Query asks how an account stands.
	Query struct{}

	// Standing is how it stands.
	Standing struct {
		Balance int64  `json:"balance"`
		Step    uint64 `json:"step"`
		Hash    string `json:"hash"`
		Fault   string `json:"fault,omitempty"`

		Peers   map[string]Peer   `json:"peers"`
		Clients map[string]Client `json:"clients"`
	}

	// Statement leaves the bank for each step of an account.
	Statement struct {
		Step    uint64 `json:"step"`
		Hash    string `json:"hash"`
		Balance int64  `json:"balance"`
		Fault   string `json:"fault,omitempty"`
	}
)

// What can be sent, what leaves, and what is kept.
var (
	transferType    = engine.JSON[Transfer]("bank/Transfer")
	accountFunction = engine.Define[Account]("bank/account")
	transfers       = engine.Answer(accountFunction, transferType, engine.JSON[Receipt]("bank/Receipt"), Account.Transfer)
	depositType     = engine.JSON[Deposit]("bank/Deposit")
	deposits        = engine.Accept(accountFunction, depositType, Account.Deposit)
	standings       = engine.Answer(accountFunction, engine.JSON[Query]("bank/Query"), engine.JSON[Standing]("bank/Standing"), Account.Show)

	statementType = engine.JSON[Statement]("bank/Statement")
	statements    = engine.NewEgress("bank/statements", statementType)

	chainType   = engine.Flat[Chain]("bank/Chain")
	peersType   = engine.JSON[map[string]Peer]("bank/Peers")
	clientsType = engine.JSON[map[string]Client]("bank/Clients")
)

// account is the function. Money moves in its first two values; the others notice when something is lost, comes
// twice, or out of order.
type account struct {
	balance engine.Value[int64]
	peers   engine.Value[map[string]Peer]
	clients engine.Value[map[string]Client]
	chain   engine.Value[Chain]
	fault   engine.Value[string] // The first that was found.
}

func newAccount(s *engine.Schema) Account {
	return &account{
		balance: engine.NewValue(s, "balance", engine.Int64),
		peers:   engine.NewValue(s, "peers", peersType),
		clients: engine.NewValue(s, "clients", clientsType),
		chain:   engine.NewValue(s, "chain", chainType),
		fault:   engine.NewValue(s, "fault", engine.String),
	}
}

// open returns the balance for change.
func (a *account) open(ctx *engine.Context) *int64 {
	if _, ok := a.balance.Lookup(ctx); !ok {
		a.balance.Set(ctx, openingBalance)
	}
	return a.balance.Edit(ctx)
}

// Transfer takes the money and sends it. What the account has not got is refused, and counts all the same.
func (a *account) Transfer(ctx *engine.Context, t Transfer) (Receipt, error) {
	balance := a.open(ctx)
	a.noteRequest(ctx, t)
	refused := t.Amount <= 0 || t.Amount > *balance || statefun.ValidateID(t.To) != nil
	if !refused {
		*balance -= t.Amount
		d := Deposit{Amount: t.Amount, Late: t.Late, Number: a.nextTo(ctx, t.To, t.Late)}
		if t.Late {
			deposits.To(t.To).SendAfter(ctx, lateAfter, d)
		} else {
			deposits.To(t.To).Send(ctx, d)
		}
	}
	step := a.step(ctx, t)
	return Receipt{Step: step, Balance: *balance, Refused: refused}, nil
}

// Deposit puts the money in.
func (a *account) Deposit(ctx *engine.Context, d Deposit) error {
	*a.open(ctx) += d.Amount
	a.noteDeposit(ctx, d)
	a.step(ctx, d)
	return nil
}

// Show tells how the account stands.
func (a *account) Show(ctx *engine.Context, _ Query) (Standing, error) {
	chain := a.chain.Get(ctx)
	return Standing{
		Balance: *a.open(ctx), Step: chain.Step, Hash: chain.text(), Fault: a.fault.Get(ctx),
		Peers: a.peers.Get(ctx), Clients: a.clients.Get(ctx),
	}, nil
}
