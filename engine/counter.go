// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"sync/atomic"
)

// Counter counts for the operator: it is shown with the function's metrics, and is no state. What is counted
// by an invocation that fails stays counted. Make it with [Schema.Counter].
type Counter struct{ n *counted }

// counted is one shard's share of a counter, on a cache line of its own.
type counted struct {
	name string
	n    atomic.Int64
	_    [64]byte
}

// Counter declares a counter of the function. Keep it in the object that implements the function.
func (s *Schema) Counter(name string) Counter {
	if name == "" {
		s.errs = append(s.errs, fmt.Errorf("%s: a counter has no name", s.fn))
	}
	for _, c := range s.counters {
		if c.name == name {
			s.errs = append(s.errs, fmt.Errorf("%s: two counters are named %q", s.fn, name))
		}
	}
	c := &counted{name: name}
	s.counters = append(s.counters, c)
	return Counter{c}
}

// Add counts n more; n is not negative.
func (c Counter) Add(n int64) { c.n.n.Add(n) }

// Inc counts one more.
func (c Counter) Inc() { c.Add(1) }
