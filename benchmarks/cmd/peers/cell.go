// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// cell is one comparison: a workload with its load.
type cell struct {
	name, title string
	workload    string
	keys        int
	dist        keys.Dist
	// across puts the two instances of Millrace's ping-pong on different shards. Other programs place theirs as
	// they like.
	across bool
	// messages is how many are sent to fast programs, slow to those that would take minutes over them. What is
	// compared is a rate, so that the counts need not be the same: they have to be long enough to measure, on
	// each side.
	messages, slow int
}

// plan is everything that is measured in a round, but for durable replies.
func plan(scale float64) (cells []cell) {
	scaled := func(n int) int { return max(1, int(float64(n)*scale)) }
	throughput := func(name, title string, c cell) {
		c.name, c.title = name, title
		c.messages, c.slow = 20_000_000, 1_000_000
		switch {
		case c.keys <= 10_000:
			c.messages, c.slow = 40_000_000, 10_000_000
		case c.keys > 100_000:
			c.slow = 2_000_000
		}
		c.messages, c.slow = scaled(c.messages), scaled(c.slow)
		cells = append(cells, c)
	}
	for _, w := range []string{workload.Counter, workload.Relay} {
		for _, n := range []int{1000, 100_000, 1_000_000} {
			throughput(fmt.Sprintf("%s/%d", w, n), fmt.Sprintf("%s, %s keys", w, thousands(n)), cell{workload: w, keys: n, dist: keys.Uniform})
		}
		if w == workload.Counter {
			throughput("counter/zipf", "counter, 1,000,000 keys, Zipf 1.1", cell{workload: w, keys: 1_000_000, dist: keys.Zipf})
			throughput("counter/hot", "counter, one key", cell{workload: w, keys: 1, dist: keys.Uniform})
		}
	}
	hops := scaled(4_000_000)
	return append(
		cells,
		cell{name: "pingpong", title: "ping-pong, one shard", workload: workload.PingPong, keys: 2, messages: hops, slow: hops},
		cell{name: "pingpong/across", title: "ping-pong, two shards", workload: workload.PingPong, keys: 2, across: true, messages: hops, slow: hops},
		cell{name: "ring/1000", title: "ring of 1,000", workload: workload.Ring, keys: 1000, messages: hops, slow: hops},
		cell{name: "skynet/1000000", title: "skynet, 1,000,000 leaves", workload: workload.Skynet, keys: 1_000_000},
		cell{name: "memory/1000000", title: "memory, 1,000,000 idle instances", workload: workload.Memory, keys: 1_000_000},
	)
}

// selected are the cells whose names match an expression.
func selected(cells []cell, only *regexp.Regexp) (chosen []cell) {
	for _, c := range cells {
		if only.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// unit is what a cell's figures are in. What programs measure is converted, because nobody thinks of a hop's time
// in hops a second.
type unit struct {
	name      string
	convert   func(value float64) float64
	lowerWins bool
	decimals  func(shown float64) int
}

var (
	million = unit{"million/s", func(v float64) float64 { return v / 1e6 }, false, func(v float64) int {
		if v < 1 {
			return 2
		}
		return 1
	}}
	nanosPerHop       = unit{"ns/hop", func(v float64) float64 { return 1e9 / v }, true, whole}
	microsPerInstance = unit{"µs/instance", func(v float64) float64 { return 1e6 / v }, true, func(float64) int { return 2 }}
	bytesPerInstance  = unit{"bytes/instance", func(v float64) float64 { return v }, true, whole}
)

func whole(float64) int { return 0 }

func (c cell) unit() unit {
	switch c.workload {
	case workload.PingPong, workload.Ring:
		return nanosPerHop
	case workload.Skynet:
		return microsPerInstance
	case workload.Memory:
		return bytesPerInstance
	default:
		return million
	}
}

// thousands writes n with its thousands set apart.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
