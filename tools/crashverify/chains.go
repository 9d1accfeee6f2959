// SPDX-License-Identifier: Apache-2.0

package main

// chain is what is known of the steps of an account.
type chain struct {
	left uint64            // The last step whose statement has left.
	hash map[uint64]string // By step.
	key  map[uint64]string // Of its statement, by step.
}

func (v *verifier) chain(account string) *chain {
	c := v.chains[account]
	if c == nil {
		c = &chain{hash: map[uint64]string{}, key: map[uint64]string{}}
		v.chains[account] = c
	}
	return c
}

// know demands that there is one history: one hash for each step, wherever it is seen.
func (v *verifier) know(account string, step uint64, hash, where string) {
	c := v.chain(account)
	before, known := c.hash[step]
	if known && before != hash {
		v.torn("step %d of account %s is %s, and %s in %s", step, account, before, hash, where)
	}
	c.hash[step] = hash
}

// statement demands that the statements of an account leave one by one; one that leaves again has the same key.
func (v *verifier) statement(e *Event) {
	v.know(e.Account, e.Step, e.Hash, "a statement")
	v.fault(e.Account, e.Fault)
	v.durable(e.Epoch)
	c := v.chain(e.Account)
	if before, again := c.key[e.Step]; again && before != e.Key {
		v.duplicated(1, "the statement of step %d of account %s has left as %s, and as %s", e.Step, e.Account, before, e.Key)
	}
	c.key[e.Step] = e.Key
	if e.Step > c.left+1 {
		v.lost(e.Step-c.left-1, "the statement of step %d of account %s has left behind that of step %d", e.Step, e.Account, c.left)
	}
	c.left = max(c.left, e.Step)
}

// published demands that what has left is what the store has, and that what has not left is there to leave.
func (v *verifier) published(b *Books) {
	waiting := map[string]map[uint64]uint64{}
	for _, l := range b.Statements {
		v.know(l.From, l.Number, l.Hash, "a statement that waits")
		if waiting[l.From] == nil {
			waiting[l.From] = map[uint64]uint64{}
		}
		if waiting[l.From][l.Number]++; waiting[l.From][l.Number] > 1 {
			v.duplicated(1, "epoch %d: the statement of step %d of account %s waits twice", b.Epoch, l.Number, l.From)
		}
	}
	for id, a := range b.Accounts {
		v.know(id, a.Step, a.Hash, "the store")
		c := v.chain(id)
		for step := c.left + 1; step <= a.Step; step++ {
			if waiting[id][step] == 0 {
				v.lost(1, "epoch %d: the statement of step %d of account %s has not left and is not there", b.Epoch, step, id)
			}
		}
	}
	for id, c := range v.chains {
		if at := b.Accounts[id].Step; c.left > at {
			v.torn("epoch %d: account %s is at step %d, and a statement of step %d has left", b.Epoch, id, at, c.left)
		}
	}
}
