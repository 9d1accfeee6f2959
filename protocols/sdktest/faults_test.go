// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// sabotage says how a server misbehaves, from now on.
type sabotage struct {
	Kinds  []string // Of faults, which take turns; none: the server behaves.
	Share  float64  // Of the requests, by chance, and the first.
	Streak int      // How many requests in a row for one address, at most; 0: no bound.
	ID     string   // Only requests for this id; empty: for all.
	Seed   uint64
}

// A fault answers a request wrongly. It may have next run the functions first.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Faults that a retry gets over, however often they come.
var transient = map[string]fault{
	"status 400":           status(http.StatusBadRequest, nil),
	"status 404":           status(http.StatusNotFound, nil),
	"status 429":           status(http.StatusTooManyRequests, nil),
	"status 500":           status(http.StatusInternalServerError, nil),
	"redirect":             status(http.StatusTemporaryRedirect, http.Header{"Location": {"/elsewhere"}}),
	"redirect as GET":      status(http.StatusSeeOther, http.Header{"Location": {"/elsewhere"}}),
	"hang":                 hang,
	"close before running": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { raw(w, nil) },
	"close after running": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		run(r, next)
		raw(w, nil)
	},
	"fail after running": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		run(r, next)
		http.Error(w, "lost it", http.StatusInternalServerError)
	},
	"half a head": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		raw(w, []byte("HTTP/1.1 200 OK\r\nContent-Le"))
	},
	"half a body": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := run(r, next)
		raw(w, append(head(octets, len(reply)), reply[:len(reply)/2]...))
	},
	"half a chunk": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := run(r, next)
		raw(w, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", octets, len(reply)+1, reply))
	},
	// The second answer belongs to nobody; a client that leaves it in the connection hands it to the next
	// request, which may be another address's.
	"two answers": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := run(r, next)
		answer := append(head(octets, len(reply)), reply...)
		conn := hijack(w)
		_, _ = conn.Write(append(answer, answer...))
		go func() { // Open until the next request, which gets no answer of its own.
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}()
	},
}

// Answers of success that are none: after a number of them an address is suspended.
var breaking = map[string]fault{
	"garbage":            body(octets, func([]byte) []byte { return []byte("\xffthis is no protobuf") }),
	"half a message":     body(octets, func(reply []byte) []byte { return reply[:len(reply)-1] }),
	"wrong content type": body("application/json", func(reply []byte) []byte { return reply }),
	"undeclared state": body(octets, func([]byte) []byte {
		return result(&protocol.FromFunction_InvocationResponse{StateMutations: []*protocol.FromFunction_PersistedValueMutation{
			modify("nobody_declared_this", "io.statefun.types/int", nil),
		}})
	}),
	"unknown egress": body(octets, func([]byte) []byte {
		return result(&protocol.FromFunction_InvocationResponse{OutgoingEgresses: []*protocol.FromFunction_EgressMessage{
			{EgressNamespace: "test", EgressType: "nowhere", Argument: value("io.statefun.types/int", nil)},
		}})
	}),
	"unknown function": body(octets, func([]byte) []byte {
		return result(&protocol.FromFunction_InvocationResponse{OutgoingMessages: []*protocol.FromFunction_Invocation{
			{Target: &protocol.Address{Namespace: "nobody", Type: "nothing", Id: "x"}, Argument: value("io.statefun.types/int", nil)},
		}})
	}),
	"incomplete for ever": body(octets, func([]byte) []byte { return missing(spec("count", "io.statefun.types/int")) }),
	// An unknown field of 33 MiB: larger than any limit, and nothing wrong with it otherwise.
	"too large": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := protowire.AppendVarint(protowire.AppendTag(run(r, next), 7, protowire.BytesType), uint64(len(large)))
		w.Header().Set("Content-Type", octets)
		w.Header().Set("Content-Length", strconv.Itoa(len(reply)+len(large)))
		_, _ = w.Write(reply)
		_, _ = w.Write(large)
	},
	"too large, in chunks": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", octets)
		_, _ = w.Write(large)
	},
}

var large = make([]byte, 33<<20)

const octets = "application/octet-stream"

func status(code int, header http.Header) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		maps.Copy(w.Header(), header)
		http.Error(w, http.StatusText(code), code)
	}
}

// body runs the functions and answers with something else.
func body(contentType string, other func(reply []byte) []byte) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reply := other(run(r, next))
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(reply)
	}
}

// hang answers nothing for as long as somebody waits, or until the sabotage is over; then the functions run.
func hang(w http.ResponseWriter, r *http.Request, next http.Handler) {
	select {
	case <-r.Context().Done():
	case <-r.Context().Value(overKey{}).(<-chan struct{}):
	}
	next.ServeHTTP(w, r)
}

type overKey struct{}

// run runs the functions and returns their reply instead of sending it.
func run(r *http.Request, next http.Handler) []byte {
	w := httptest.NewRecorder()
	next.ServeHTTP(w, r)
	return w.Body.Bytes()
}

// raw writes bytes to the connection and closes it.
func raw(w http.ResponseWriter, b []byte) {
	conn := hijack(w)
	_, _ = conn.Write(b)
	_ = conn.Close()
}

func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return conn
}

func head(contentType string, bytes int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", contentType, bytes)
}

// kinds lists faults in an order that does not change.
func kinds(list ...map[string]fault) (names []string) {
	for _, faults := range list {
		names = slices.AppendSeq(names, maps.Keys(faults))
	}
	slices.Sort(names)
	return names
}

func faultOf(kind string) fault {
	if f := transient[kind]; f != nil {
		return f
	}
	return breaking[kind]
}

// saboteur stands before the functions.
type saboteur struct {
	next http.Handler

	mu       sync.Mutex
	plan     sabotage
	rand     *rand.Rand
	turn     int
	over     chan struct{} // Closed when the plan is.
	streaks  map[string]int
	requests int64
	faults   map[string]int64
}

func (s *saboteur) set(plan sabotage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		close(s.over)
	}
	s.plan, s.over, s.turn = plan, make(chan struct{}), 0
	s.rand = rand.New(rand.NewPCG(plan.Seed, 0))
	s.streaks = map[string]int{}
}

func (s *saboteur) counts() (requests int64, faults map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, maps.Clone(s.faults)
}

// ServeHTTP runs the functions, or shows a fault.
func (s *saboteur) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	behaved := len(s.plan.Kinds) == 0
	s.mu.Unlock()
	if behaved {
		s.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var request protocol.ToFunction
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f, over := s.draw(request.GetInvocation().GetTarget())
	if f == nil {
		s.next.ServeHTTP(w, r)
		return
	}
	f(w, r.WithContext(context.WithValue(r.Context(), overKey{}, over)), s.next)
}

// draw decides about a request. No address is left without an answer for longer than the plan says.
func (s *saboteur) draw(target *protocol.Address) (fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address := strings.Join([]string{target.GetNamespace(), target.GetType(), target.GetId()}, "/")
	switch {
	case len(s.plan.Kinds) == 0,
		s.plan.ID != "" && s.plan.ID != target.GetId(),
		s.plan.Streak > 0 && s.streaks[address] >= s.plan.Streak,
		s.turn > 0 && s.rand.Float64() >= s.plan.Share:
		delete(s.streaks, address)
		return nil, nil
	}
	kind := s.plan.Kinds[s.turn%len(s.plan.Kinds)]
	s.turn++
	s.streaks[address]++
	if s.faults == nil {
		s.faults = map[string]int64{}
	}
	s.faults[kind]++
	return faultOf(kind), s.over
}
