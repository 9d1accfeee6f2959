// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
)

// What programs written for StateFun rely on, or get wrong. Numbers are those of docs/statefun-compatibility.md.
var compatibility = map[string]func(*testing.T){
	"02_every_failure_is_retried_whatever_its_status":      everyStatusIsRetried,
	"05_a_backlog_goes_out_in_requests_of_limited_size":    backlogIsSplit,
	"06_a_full_address_holds_back_no_other":                fullAddress,
	"07_a_first_request_holds_back_no_other":               firstRequest,
	"08_the_handshake_is_per_type_and_keeps_values":        handshake,
	"09_absent_states_are_named_in_every_request":          absentStates,
	"10_zero_bytes_are_a_value":                            zeroBytes,
	"11_what_may_be_written_and_what_may_not":              writing,
	"11_a_state_keeps_its_type":                            typeOfState,
	"12_a_message_from_an_ingress_has_no_caller":           callers,
	"13_effects_take_place_in_order":                       effectsInOrder,
	"14_tokens_belong_to_the_id_of_the_sender":             tokens,
	"15_expiry_after_write_and_after_invoke":               expiry,
	"19_values_for_egresses_pass_unchanged":                egressValues,
	"21_a_unix_socket_gets_the_plain_path":                 unixSocket,
	"22_a_lost_reply_is_run_again_and_takes_effect_once":   lostReply,
	"23_what_nobody_can_deliver_suspends_its_sender":       undeliverable,
	"one_request_at_a_time_for_an_address":                 oneAtATime,
	"a_reply_without_a_response_is_a_success":              emptyReply,
	"messages_of_one_sender_arrive_in_order":               inOrder,
	"a_request_is_what_servers_expect":                     requestHeaders,
	"the_content_type_may_have_any_case_and_no_parameters": contentTypes,
}

func TestStateFun(t *testing.T) {
	for name, test := range compatibility {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func everyStatusIsRetried(t *testing.T) {
	statuses := []int{300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 420, 425, 429, 451, 499, 500, 501, 502, 503, 504, 599}
	var attempt atomic.Int64
	s := scriptedHTTP(t, func(w http.ResponseWriter, r *http.Request, _ *batch) {
		w.Header().Set("Content-Type", octets)
		if n := int(attempt.Add(1)) - 1; n < len(statuses) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(statuses[n])
			return
		}
		if r.URL.Path != "/fn" {
			t.Errorf("followed to %s", r.URL.Path)
		}
		w.WriteHeader(http.StatusCreated) // Any 2xx is a success.
		_, _ = w.Write(result(&effects{OutgoingEgresses: []*emitted{emit("done")}}))
	})
	r := start(t, at(t, "test/fn", s.URL+"/fn", impatient()))
	r.mustSend(address("fn", "a"), say("x"))
	r.until("the record", func() bool { return len(r.kept()) == 1 })
	if f := r.stats("fn"); f.Failures != int64(len(statuses)) || f.In != 1 || f.Suspended != 0 {
		t.Errorf("%d failures of %d, %d in effect, %d suspended", f.Failures, len(statuses), f.In, f.Suspended)
	}
}

func backlogIsSplit(t *testing.T) {
	const most, messages = 10, 105
	held := make(chan struct{})
	s := scripted(t, func(*http.Request, *batch) []byte { <-held; return nil })
	policy := impatient()
	policy.MessagesMax = most
	r := start(t, at(t, "test/fn", s.URL, policy))
	var want []string
	for n := range messages {
		want = append(want, fmt.Sprint(n))
		r.mustSend(address("fn", "a"), say(want[n]))
	}
	r.until("a backlog", func() bool { return r.stats("fn").Backlog == messages })
	close(held)
	r.until("all messages", func() bool { return r.in("fn") == messages })
	for _, b := range s.seen() {
		if n := len(b.GetInvocations()); n > most {
			t.Errorf("a request of %d messages, of at most %d", n, most)
		}
	}
	if got := s.heard(address("fn", "a")); !slices.Equal(got, want) {
		t.Errorf("heard %v", got)
	}
	if n := len(s.seen()); n > 1+messages/most+1 {
		t.Errorf("%d requests for %d messages", n, messages)
	}
}

func fullAddress(t *testing.T) {
	held := make(chan struct{})
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		if b.GetTarget().GetId() == "full" {
			<-held
		}
		return nil
	})
	policy := impatient()
	policy.MessagesMax = 1
	r := start(t, at(t, "test/fn", s.URL, policy))
	const messages, others = 100, 100
	for range messages {
		r.mustSend(address("fn", "full"), say("x"))
	}
	for n := range others {
		r.mustSend(address("fn", id(n)), say("x"))
	}
	r.until("the others", func() bool { return r.in("fn") == others })
	close(held)
	r.until("all messages", func() bool { return r.in("fn") == others+messages })
}

func firstRequest(t *testing.T) {
	held := make(chan struct{})
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		if b.GetTarget().GetType() == "slow" {
			<-held
		}
		return nil
	})
	r := start(t, at(t, "test/*", s.URL, impatient()))
	const messages = 100
	for n := range messages {
		r.mustSend(address("slow", id(n)), say("x"))
		r.mustSend(address("quick", id(n)), say("x"))
	}
	r.until("what is quick", func() bool { return r.in("quick") == messages })
	if n := r.in("slow"); n != 0 {
		t.Errorf("%d slow ones have taken effect before they were answered", n)
	}
	close(held)
	r.until("what is slow", func() bool { return r.in("slow") == messages })
}

func egressValues(t *testing.T) {
	const typename = "type.googleapis.com/io.statefun.sdk.egress.KafkaProducerRecord"
	body := []byte{0, 255, 10, 0}
	s := scripted(t, func(*http.Request, *batch) []byte {
		return result(&effects{OutgoingEgresses: []*emitted{{EgressNamespace: "test", EgressType: "out", Argument: value(typename, body)}}})
	})
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	r.mustSend(address("fn", "a"), say("x"))
	r.until("the record", func() bool { return len(r.kept()) == 1 })
	if got := r.kept()[0]; got.Typename != typename || !slices.Equal(got.Value, body) || got.Sender != address("fn", "a") {
		t.Errorf("%s %v from %v", got.Typename, got.Value, got.Sender)
	}
}

// StateFun's OkHttp client sends the path behind a socket as one encoded segment; servers of programs that run
// behind something else never see that.
func unixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "sdk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for rest, want := range map[string]string{"": "/", "/fns/visit": "/fns/visit"} {
		t.Run(want, func(t *testing.T) {
			socket := filepath.Join(dir, fmt.Sprintf("%d.sock", len(want)))
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			var path atomic.Value
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path.Store(r.RequestURI)
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", octets)
			})}}
			server.Start()
			t.Cleanup(server.Close)
			r := start(t, at(t, "test/fn", "http+unix://"+socket+rest, impatient()))
			r.mustSend(address("fn", "a"), say("x"))
			r.until("the message", func() bool { return r.in("fn") == 1 })
			if got := path.Load(); got != want {
				t.Errorf("asked for %q, want %q", got, want)
			}
		})
	}
}

func lostReply(t *testing.T) {
	var attempt atomic.Int64
	run := stateful(func(*batch) *effects {
		return &effects{
			OutgoingEgresses: []*emitted{emit("once")},
			StateMutations:   []*mutation{modify("n", "test/text", []byte("new"))},
		}
	}, spec("n", "test/text"))
	s := scriptedHTTP(t, func(w http.ResponseWriter, r *http.Request, b *batch) {
		reply := run(r, b)
		if n := attempt.Add(1); n > 1 && n < 10 { // The first is the handshake.
			raw(w, nil)
			return
		}
		w.Header().Set("Content-Type", octets)
		_, _ = w.Write(reply)
	})
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	r.mustSend(address("fn", "a"), say("x"))
	r.until("the message", func() bool { return r.in("fn") == 1 && len(r.kept()) > 0 })
	requests := s.seen()[1:]
	for _, b := range requests[1:] {
		if !proto.Equal(b, requests[0]) {
			t.Errorf("attempts differ: %v and %v", requests[0], b)
		}
	}
	r.mustSend(address("fn", "a"), say("y"))
	r.until("the next message", func() bool { return r.in("fn") == 2 && len(r.kept()) > 1 })
	if got := r.told(); !slices.Equal(got, []string{"once", "once"}) {
		t.Errorf("two messages have told %q", got)
	}
	last := s.seen()
	if v, _ := state(last[len(last)-1], "n"); string(v.GetValue()) != "new" {
		t.Errorf("the state is %v", v)
	}
}

func oneAtATime(t *testing.T) {
	var busy [10]atomic.Int64
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		at := &busy[int(b.GetTarget().GetId()[0]-'0')]
		if at.Add(1) != 1 {
			t.Errorf("two requests at a time for %v", b.GetTarget())
		}
		defer at.Add(-1)
		return nil
	})
	policy := impatient()
	policy.MessagesMax = 3
	r := start(t, at(t, "test/fn", s.URL, policy))
	const messages = 100
	for range messages {
		for a := range busy {
			r.mustSend(address("fn", fmt.Sprint(a)), say("x"))
		}
	}
	r.until("all messages", func() bool { return r.in("fn") == messages*int64(len(busy)) })
}

func emptyReply(t *testing.T) {
	for name, reply := range map[string][]byte{"no bytes": nil, "no effects": result(nil), "unknown fields only": {0x38, 1}} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t, func(*http.Request, *batch) []byte { return reply })
			r := start(t, at(t, "test/fn", s.URL, impatient()))
			r.mustSend(address("fn", "a"), say("x"))
			r.until("the message", func() bool { return r.in("fn") == 1 })
			if n := len(s.seen()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Messages from one address to another keep their order, over any number of requests.
func inOrder(t *testing.T) {
	const rounds, each = 50, 4
	var round atomic.Int64
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		var e effects
		if b.GetTarget().GetType() == "from" {
			for range b.GetInvocations() {
				n := int(round.Add(1)) - 1
				for m := range each {
					e.OutgoingMessages = append(e.OutgoingMessages, &outgoing{Target: target(address("into", "b")), Argument: text(fmt.Sprint(each*n + m))})
				}
			}
		}
		return result(&e)
	})
	r := start(t, at(t, "test/*", s.URL, impatient()))
	for range rounds {
		r.mustSend(address("from", "a"), say("go"))
	}
	r.until("all messages", func() bool { return r.in("into") == rounds*each })
	for n, got := range s.heard(address("into", "b")) {
		if got != fmt.Sprint(n) {
			t.Fatalf("message %d is %s", n, got)
		}
	}
}

func requestHeaders(t *testing.T) {
	got := make(chan *http.Request, 1)
	s := scripted(t, func(r *http.Request, _ *batch) []byte { got <- r; return nil })
	r := start(t, at(t, "test/*", s.URL+"/{function.name}/call?v=1", impatient()))
	r.mustSend(address("visit", "a"), say("x"))
	req := <-got
	if req.Method != "POST" || req.RequestURI != "/visit/call?v=1" || req.Host != strings.TrimPrefix(s.URL, "http://") {
		t.Errorf("%s %s at %s", req.Method, req.RequestURI, req.Host)
	}
	if req.ContentLength <= 0 || req.Header.Get("Content-Type") != octets || req.Header.Get("Accept") != octets {
		t.Errorf("%d bytes of %v", req.ContentLength, req.Header)
	}
}

func contentTypes(t *testing.T) {
	for contentType, fine := range map[string]bool{
		octets: true, "Application/Octet-Stream": true, octets + "; charset=utf-8": false, "text/plain": false,
	} {
		t.Run(contentType, func(t *testing.T) {
			s := scriptedHTTP(t, func(w http.ResponseWriter, _ *http.Request, _ *batch) {
				w.Header().Set("Content-Type", contentType)
				_, _ = w.Write(result(nil))
			})
			r := start(t, at(t, "test/fn", s.URL, remote.Policy{BrokenMax: 1}))
			r.mustSend(address("fn", "a"), say("x"))
			r.until("an outcome", func() bool { f := r.stats("fn"); return f.In+f.Suspended == 1 })
			if got := r.in("fn") == 1; got != fine {
				t.Errorf("accepted: %v", got)
			}
			r.give(address("fn", "a"))
		})
	}
}
