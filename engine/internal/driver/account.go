// SPDX-License-Identifier: Apache-2.0

package driver

// Account has what the shard has loaded from a checkpoint count as queued. It is called once, before the first
// turn: credit is taken from then on.
func (l *Loop) Account() {
	held := l.shard.Waiting()
	l.gate.Add(held)
	l.accounted = held
	l.stats.hold(l.shard.SuspendedBytes())
	l.publish()
}
