// SPDX-License-Identifier: Apache-2.0

package remotetest

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Script is what the functions behind an invoker do, request by request.
type Script struct {
	mu      sync.Mutex
	acts    map[string][]Act // By the id of the target. Guarded by mu.
	current int              // Requests that are being served. Guarded by mu.
	most    int              // The most of them at a time. Guarded by mu.

	arrived chan Seen
}

// Act is what is done with one request.
type Act struct {
	Kind ActKind
	// Wait is until when nothing happens, if it is not nil. Whoever serves does not look at whether
	// somebody still waits for the answer.
	Wait <-chan struct{}
	// Reply is the answer, with Answer.
	Reply *remote.Reply
	// RetryAfter is, with Refuse, how long to leave the functions alone. Zero: it is not said.
	RetryAfter time.Duration
}

// ActKind is a kind of [Act].
type ActKind uint8

// The kinds.
const (
	Answer ActKind = iota // Send Reply.
	Refuse                // Send something that is no success.
	Garble                // Send success with bytes that are no reply.
	Lose                  // End the connection.
)

// Seen is a request as it arrived.
type Seen struct {
	Target   statefun.FunctionType
	ID       string
	State    []remote.State
	Messages []remote.Message
}

func newScript() *Script {
	return &Script{acts: map[string][]Act{}, arrived: make(chan Seen, 1<<12)}
}

// add appends to what is done with the requests for an id. After that they are answered with echo. There is
// no order among all requests, because one that is over before it arrives would bring it to grief.
func (s *Script) add(id string, acts ...Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acts[id] = append(s.acts[id], acts...)
}

// concurrency is the most requests that have been served at a time.
func (s *Script) concurrency() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// Next is called once by whoever serves, for each request that has arrived. It waits for as long as the act
// says, and the act is to be done when it returns.
func (s *Script) Next(r Seen) Act {
	s.mu.Lock()
	s.current++
	s.most = max(s.most, s.current)
	var act Act
	if acts := s.acts[r.ID]; len(acts) > 0 {
		act, s.acts[r.ID] = acts[0], acts[1:]
	}
	if act.Reply == nil {
		act.Reply = echo(r)
	}
	s.mu.Unlock()
	s.arrived <- r
	if act.Wait != nil {
		<-act.Wait
	}
	s.mu.Lock()
	s.current--
	s.mu.Unlock()
	return act
}

// echo is the reply that sends each message back to its own address, and so tells which request it is for.
func echo(r Seen) *remote.Reply {
	reply := &remote.Reply{}
	for _, m := range r.Messages {
		reply.Messages = append(reply.Messages, remote.Outgoing{
			To:      remote.To{Namespace: []byte(r.Target.Namespace), Name: []byte(r.Target.Name), ID: []byte(r.ID)},
			Payload: remote.Payload{Typename: m.Typename, Absent: m.Absent, Value: m.Value},
		})
	}
	return reply
}
