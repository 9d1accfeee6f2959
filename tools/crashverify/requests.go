// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
)

// requests are what clients have asked for, and what they were told.
type requests struct {
	outstanding map[string]request // By client.
	acked       map[at]Client
	answers     map[name]string
	steps       map[step]name // Whose request it was.
}

// name names a request, step a step of an account.
type (
	name struct {
		client string
		number uint64
	}
	step struct {
		account string
		number  uint64
	}
)

func (n name) String() string { return fmt.Sprintf("request %d of %s", n.number, n.client) }

type request struct {
	account string
	number  uint64
}

// at is an account, and a client of it.
type at struct{ account, client string }

func newRequests() requests {
	return requests{map[string]request{}, map[at]Client{}, map[name]string{}, map[step]name{}}
}

func (r *requests) send(e *Event) error {
	if o, busy := r.outstanding[e.Client]; busy {
		return fmt.Errorf("%s sends request %d before %d is acknowledged", e.Client, e.Number, o.number)
	}
	r.outstanding[e.Client] = request{e.Account, e.Number}
	return nil
}

// acked notes an acknowledgement. What is acknowledged again is answered as before.
func (v *verifier) acked(e *Event) error {
	r := &v.requests
	n := name{e.Client, e.Number}
	before, again := r.answers[n]
	if again && before != e.Answer {
		v.torn("%v was answered with %q, and then with %q", n, before, e.Answer)
	}
	if again {
		return nil
	}
	o, sent := r.outstanding[e.Client]
	if !sent || o.number != e.Number {
		return fmt.Errorf("%v is acknowledged, and was not sent", n)
	}
	delete(r.outstanding, e.Client)
	r.answers[n] = e.Answer
	where := at{o.account, e.Client}
	c := r.acked[where]
	r.acked[where] = Client{Requests: c.Requests + 1, Sum: c.Sum + e.Number}
	return v.receipt(n, o.account, e.Answer)
}

// receipt demands that no two requests are the same step of an account.
func (v *verifier) receipt(n name, account, answer string) error {
	if answer == "" {
		return nil
	}
	var receipt struct{ Step uint64 }
	if err := json.Unmarshal([]byte(answer), &receipt); err != nil {
		return fmt.Errorf("answer of %v: %w", n, err)
	}
	s := step{account, receipt.Step}
	if other, taken := v.requests.steps[s]; taken {
		v.torn("%v and %v were both answered with step %d of account %s", other, n, s.number, account)
	}
	v.requests.steps[s] = n
	return nil
}

// counted demands that each acknowledged request is counted once, one that is not acknowledged at most once, and
// nothing else.
func (v *verifier) counted(b *Books) {
	got := map[at]Client{}
	for id, a := range b.Accounts {
		for client, c := range a.Clients {
			got[at{id, client}] = c
		}
	}
	for _, l := range b.Waiting {
		if l.Client != "" {
			where := at{l.To, l.Client}
			c := got[where]
			got[where] = Client{Requests: c.Requests + 1, Sum: c.Sum + l.Number}
		}
	}
	for where := range v.requests.acked {
		if _, ok := got[where]; !ok {
			got[where] = Client{}
		}
	}
	for where, c := range got {
		v.compare(where, c, b.Epoch)
	}
}

func (v *verifier) compare(where at, got Client, epoch uint64) {
	acked := v.requests.acked[where]
	maybe := acked
	if o, ok := v.requests.outstanding[where.client]; ok && o.account == where.account {
		maybe = Client{Requests: acked.Requests + 1, Sum: acked.Sum + o.number}
	}
	const format = "epoch %d: account %s has counted %d requests of %s with the sum %d; %d were acknowledged, with the sum %d"
	args := []any{epoch, where.account, got.Requests, where.client, got.Sum, acked.Requests, acked.Sum}
	switch {
	case got == acked || got == maybe:
	case got.Requests < acked.Requests:
		v.lost(acked.Requests-got.Requests, format, args...)
	case got.Requests > maybe.Requests:
		v.duplicated(got.Requests-maybe.Requests, format, args...)
	default:
		v.torn(format, args...)
	}
}
