// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// mutant is a mistake that a shard, a pump, the process or the store makes: that the check finds it shows that
// it checks.
type mutant string

const (
	inFlightNotLogged mutant = "in-flight-not-logged"          // P9
	newerDoesNotCut   mutant = "newer-batch-does-not-cut"      // I4
	noMarkerToItself  mutant = "no-marker-on-own-ring"         // P2
	markersNotAwaited mutant = "part-done-without-all-markers" // P7
	positionTooLate   mutant = "position-noted-at-commit"      // I4
	wantForgotten     mutant = "waiting-is-not-told"           // P20
	ticketOfCutEpoch  mutant = "ack-by-epoch-before-the-cut"   // P18
	ackAtOnce         mutant = "ack-at-once"                   // P18
	commitTooEarly    mutant = "commit-returns-before-durable" // I7
	ringsBeforeQueue  mutant = "queue-lost-at-recovery"        // P10
	olderRestored     mutant = "older-epoch-restored"          // P29
	outboxForgotten   mutant = "outbox-not-restored"           // P30
)

var mutants = []mutant{
	inFlightNotLogged, newerDoesNotCut, noMarkerToItself, markersNotAwaited, positionTooLate, wantForgotten,
	ticketOfCutEpoch, ackAtOnce, commitTooEarly, ringsBeforeQueue, olderRestored, outboxForgotten,
}

// explorer goes through all states that can be reached, breadth first.
type explorer struct {
	bug   mutant
	seen  map[world]bool
	nodes []node
	edges int
}

// node is a state and how it was reached.
type node struct {
	world  world
	parent int
	action string
	events []event
}

// explore returns the first violation, with the shortest way to it.
func explore(bug mutant, start world) (x *explorer, err error) {
	x = &explorer{bug: bug, seen: map[world]bool{}}
	start.begin()
	x.add(node{world: start, parent: -1, action: "begin"})
	for at := 0; at < len(x.nodes); at++ {
		if err := x.expand(at); err != nil {
			return x, err
		}
	}
	return x, nil
}

func (x *explorer) add(n node) {
	if !x.seen[n.world] {
		x.seen[n.world] = true
		x.nodes = append(x.nodes, n)
	}
}

// way is the actions that lead to a state.
func (x *explorer) way(at int) string {
	var way []string
	for ; at >= 0; at = x.nodes[at].parent {
		way = append(way, x.nodes[at].action)
	}
	slices.Reverse(way)
	return strings.Join(way, ", ")
}

// expand adds all states that can follow.
func (x *explorer) expand(at int) error {
	s := &successors{explorer: x, at: at}
	s.shards()
	s.pump()
	s.epochs()
	if s.err == nil && !s.any {
		if err := x.nodes[at].world.settled(); err != nil {
			s.fail("the end", fmt.Errorf("stuck: %w", err))
		}
	}
	s.faults()
	return s.err
}

// successors are the states that follow one.
type successors struct {
	*explorer
	at  int
	any bool // Something happens without the interval, and without a fault.
	err error
}

// do has an action happen: change changes the world, and then Epochs is told of the event, if it is one, and gets
// the parts that are complete.
func (s *successors) do(action string, change func(w *world, e *event) error) {
	if s.err != nil {
		return
	}
	n := node{world: s.nodes[s.at].world, parent: s.at, action: action}
	var e event
	err := change(&n.world, &e)
	if e.kind != none {
		n.events = append(n.events, e)
	}
	n.events = append(n.events, n.world.takeMarkers(s.bug)...)
	if err == nil && len(n.events) > 0 {
		err = s.tell(&n)
	}
	if err == nil {
		err = n.world.check()
	}
	if err != nil {
		s.fail(action, err)
		return
	}
	s.edges++
	s.add(n)
}

// tell has the process hear of what happens, and the world what the process does.
func (s *successors) tell(n *node) error {
	r := s.replay(s.at)
	defer r.stop()
	for _, e := range n.events {
		r.tell(e)
		if r.broken != nil {
			return r.broken
		}
		before := n.world
		if err := n.world.hear(e, r.heard, s.bug); err != nil {
			return err
		}
		if n.world.epochs.committing && !before.epochs.committing {
			if err := s.doubt(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *successors) fail(action string, err error) {
	if s.err == nil {
		s.err = fmt.Errorf("%w\n\tafter %s, %s", err, s.way(s.at), action)
	}
}

// doubt has the commit that has just begun end with an error that halts: nothing may come of it.
func (s *successors) doubt(n *node) error {
	for which := range uint8(3) {
		if err := s.doubtful(n, which); err != nil {
			return err
		}
	}
	return nil
}

func (s *successors) doubtful(n *node, which uint8) error {
	r := s.replay(s.at, n.events...)
	defer r.stop()
	r.tell(event{kind: doubt, who: which})
	if h := r.heard; h.halted == nil || h.acked || h.commit != nil || h.announced != n.world.epochs.announced {
		return fmt.Errorf("a commit in doubt is not the end: %+v (P25)", h)
	}
	r.tell(event{kind: drain})
	if len(r.published) != len(n.world.queuedNames()) {
		return fmt.Errorf("a commit in doubt lets %v out (I5)", r.published)
	}
	return nil
}

// replay makes the process of a state again, by telling it what it has been told, and more.
func (x *explorer) replay(at int, more ...event) *rig {
	var told [][]event
	begin := at
	for ; x.nodes[begin].action != "begin" && x.nodes[begin].action != "crash"; begin = x.nodes[begin].parent {
		told = append(told, x.nodes[begin].events)
	}
	r := newRig(&x.nodes[begin].world)
	for _, events := range slices.Backward(told) {
		for _, e := range events {
			r.tell(e)
		}
	}
	for _, e := range more {
		r.tell(e)
	}
	return r
}

// Epochs in every state that it can be in: two shards and a source; three epochs, on the interval and because a
// client waits; two generations; a crash anywhere, also while a commit is under way, which then has landed or not;
// and a commit that fails and is tried again.
func TestEveryState(t *testing.T) {
	for _, start := range []world{{ticks: mostTicks / 2, crashes: 1, failures: 1}, {ticks: mostTicks, crashes: 1}} {
		synctest.Test(t, func(t *testing.T) {
			x, err := explore("", start)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("model: %d states, %d edges, with %d epochs on the interval, %d crash, %d failing commit",
				len(x.nodes), x.edges, start.ticks, start.crashes, start.failures)
		})
	}
}

// Every mistake is found.
func TestEveryStateFindsMistakes(t *testing.T) {
	for _, bug := range mutants {
		t.Run(string(bug), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, err := explore(bug, world{ticks: 1, crashes: 1, failures: 1})
				if err == nil {
					t.Fatalf("nothing is found in %d states", len(x.nodes))
				}
				t.Logf("found in %d states: %v", len(x.nodes), err)
			})
		})
	}
}
