// SPDX-License-Identifier: Apache-2.0

package sim

import "fmt"

// amount is the money that a message carries. Whoever counts pays with each message that it sends to somebody
// who counts, and that is what the other one has got when the message has taken effect. So in every checkpoint
// the balances, and what messages in flight carry, add up to nothing, but for messages that were given up: the
// check of Chandy and Lamport, and it asks the entries alone.
func amount(from origin, to address, serial uint64) int64 {
	if from.outside > 0 || !kinds[from.kind].counts || !kinds[to.kind].counts {
		return 0
	}
	return 1 + int64(serial%97)
}

// checkMoney demands that no money comes or goes by a cut.
func (r *run) checkMoney(c *cut) error {
	if sum := r.ledger.money + r.model.burnt; sum != 0 {
		return fmt.Errorf("conservation: balances and messages in flight of epoch %d are off by %d", c.cp.Epoch, sum)
	}
	return nil
}
