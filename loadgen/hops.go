// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// feedBall sends the one message that makes all hops. The key that it goes to follows from how many are left.
func (a *application) feedBall(at func(left int64) string) *feed {
	return newFeed(1, func(_ int, into *connector.Events) {
		left := int64(a.Load.Messages)
		ball, _ := hopType.Append(nil, hop{Left: left})
		into.Append([]byte(at(left)), "", ball)
	})
}

// hopsAt is how many of so many hops round n keys go to one of them: the hop that leaves l to make, itself
// included, goes to number l%n.
func hopsAt(key, n, hops int) int64 {
	if key == 0 {
		return int64(hops / n)
	}
	return int64((hops + n - key) / n)
}

// findPair chooses the keys of a ping-pong: the first two that lie on one shard, or on two. It says how
// many keys it has asked.
func (a *application) findPair(ctx context.Context, e *engine.Engine) (asked int, err error) {
	const tries = 10_000
	var first int32
	for k := range tries {
		shard, err := wheres.Ask(ctx, e, keys.ID(k), 0)
		switch {
		case err != nil:
			return 0, err
		case k == 0:
			first = shard
		case (shard != first) == a.Across:
			a.pairKeys = [2]int{0, k}
			a.pair = [2]string{keys.ID(0), keys.ID(k)}
			return k + 1, nil
		}
	}
	return 0, fmt.Errorf("none of %d keys makes a pair with %s", tries, keys.ID(0))
}
