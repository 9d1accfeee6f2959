// SPDX-License-Identifier: Apache-2.0

package main

// Event is a line of the journal. Event says which it is, and what else is there:
//
//	store      Opening: another store begins, empty; this is what each account is given when it opens
//	send       Client, Number, Account: a request is sent for the first time. A client has one at a time
//	ack        Client, Number, Answer: it was acknowledged, durably; Answer is empty if it was not a call
//	statement  Key, Epoch, Account, Step, Hash, Fault: it has left the bank
//	standing   Account, Standing: what a live bank says of an account
//	totals     Epoch, Totals: what a live bank says that a committed epoch adds up to
//	books      Books: what the store of a bank that is dead holds. Every client has stopped sending before it is
//	           read, and what has left the bank is in the journal
//	death      MidEpoch: a bank was killed, or ended; MidEpoch if that was within a commit
//	cycle      the end of a cycle
//	check      the counts are wanted
//	rest       the load has ended: the next books must show that everything has come to its end
type Event struct {
	Event string `json:"event"`

	Opening  int64  `json:"opening,omitempty"`
	Client   string `json:"client,omitempty"`
	Number   uint64 `json:"number,omitempty"`
	Account  string `json:"account,omitempty"`
	Answer   string `json:"answer,omitempty"`
	Key      string `json:"key,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
	Step     uint64 `json:"step,omitempty"`
	Hash     string `json:"hash,omitempty"`
	Fault    string `json:"fault,omitempty"`
	MidEpoch bool   `json:"mid_epoch,omitempty"`

	Standing *Account `json:"standing,omitempty"`
	Totals   *Totals  `json:"totals,omitempty"`
	Books    *Books   `json:"books,omitempty"`
}

// Totals are what an epoch adds up to.
type Totals struct {
	Accounts int64 `json:"accounts"`
	Balances int64 `json:"balances"`
	InFlight int64 `json:"in_flight"`
	Delayed  int64 `json:"delayed"`
}

// Books are what "bank inspect" says that a store holds.
type Books struct {
	Epoch      uint64             `json:"epoch"`
	Accounts   map[string]Account `json:"accounts"`
	InFlight   []Letter           `json:"in_flight"`
	Delayed    []Letter           `json:"delayed"`
	Waiting    []Letter           `json:"waiting"`    // Requests that no account has seen to yet.
	Statements []Letter           `json:"statements"` // Those that have not left for good.
	Suspended  []string           `json:"suspended"`
}

// Account is the state of an account.
type Account struct {
	Balance int64             `json:"balance"`
	Step    uint64            `json:"step"`
	Hash    string            `json:"hash"`
	Fault   string            `json:"fault"`
	Peers   map[string]Peer   `json:"peers"`
	Clients map[string]Client `json:"clients"`
}

// Peer numbers the deposits between two accounts.
type Peer struct {
	Sent         uint64 `json:"sent"`
	Received     uint64 `json:"received"`
	SentLate     uint64 `json:"sent_late"`
	ReceivedLate uint64 `json:"received_late"`
}

// Client counts the requests of a client at an account.
type Client struct {
	Requests uint64 `json:"requests"`
	Sum      uint64 `json:"sum"` // Of their numbers.
}

// Letter is a deposit, a request or a statement on its way.
type Letter struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
	Late   bool   `json:"late"`
	Client string `json:"client"`
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
}
