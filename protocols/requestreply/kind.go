// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Kinds returns the kinds of components that are served over HTTP: StateFun's endpoints, with its fields
// and its defaults, and three of ours. "failure" says what happens to a message when "call" is over,
// "idleAfter" how long an address may go without a message before it is dropped with all its state, and
// "verify_hostname", in a transport, whether the name in a server's certificate counts.
func Kinds() []kind.Kind {
	return []kind.Kind{
		{Name: "io.statefun.endpoints.v2/http", Lenient: true, Bind: bindV2},
		{Name: "io.statefun.endpoints.v1/http", Lenient: true, Bind: bindV1},
	}
}

// bindV2 reads an endpoint whose transport is chosen by name.
func bindV2(s *kind.Spec, to kind.Target) {
	transport := s.Sub("transport")
	var e endpoint
	switch transport.OneOf("type", asyncTransport, asyncTransport, okhttpTransport) {
	case asyncTransport:
		e = readAsync(transport)
	case okhttpTransport:
		e = readOkHTTP(transport)
		e.tls.AnyHost = !transport.Bool("verify_hostname", true)
	}
	e.bind(s, to)
}

// bindV1 reads an endpoint of StateFun's first transport, with the timeouts beside the other fields.
func bindV1(s *kind.Spec, to kind.Target) {
	e := readOkHTTP(s)
	e.bind(s, to)
}

// endpoint is what a transport makes of an endpoint.
type endpoint struct {
	http      HTTPConfig
	tls       TLSFiles
	tlsFields *kind.Spec // Where the files are named, if they can be.
	policy    remote.Policy
}

// idleMost bounds "idleAfter": a hundred years.
const idleMost = 100 * 365 * 24 * time.Hour

// bind reads the fields that do not depend on the transport.
func (e *endpoint) bind(s *kind.Spec, to kind.Target) {
	functions, ok := readFunctions(s)
	batch := s.Int("maxNumBatchRequests", 1000, math.MinInt32, math.MaxInt32)
	if batch <= 0 { // No bound, in StateFun.
		batch = -1
	}
	e.policy.MessagesMax = batch
	// The transport's payload_max_bytes is for replies only, and StateFun knows no other bound.
	e.policy.BytesMax = max(remote.Policy{}.WithDefaults().BytesMax, e.http.PayloadMax)
	e.policy.InFlightMax = e.http.PoolSize
	e.policy.RetryMost = 30 * time.Second
	e.policy.IdleAfter = s.Duration("idleAfter", 0, time.Millisecond, idleMost)
	e.readFailure(s.Sub("failure"))

	s.Require("urlPathTemplate", "where the functions are, such as http://host:8000/"+placeholder)
	e.http.URL = s.String("urlPathTemplate", "")
	if !s.Has("urlPathTemplate") {
		return
	}
	t, err := parseTemplate(e.http.URL)
	if err != nil {
		s.Problem("urlPathTemplate", err.Error(), "such as http://host:8000/"+placeholder+" or http+unix:///run/fns.sock/path")
		return
	}
	if !e.loadTLS(t) || !ok {
		return
	}
	invoker, err := NewHTTP(e.http)
	if err != nil {
		s.Problem("", err.Error(), "")
		return
	}
	to.Endpoint(remote.Endpoint{Functions: functions, Invoker: invoker, Policy: e.policy})
}

// readFunctions reads which functions an endpoint serves.
func readFunctions(s *kind.Spec) (p remote.Pattern, ok bool) {
	s.Require("functions", "<namespace>/<name>, or <namespace>/* for all of a namespace")
	text := s.String("functions", "")
	if text == "" && !s.Has("functions") {
		return p, false
	}
	p, err := remote.ParsePattern(text)
	if err != nil || strings.Count(text, "/") != 1 {
		s.Problem("functions", fmt.Sprintf("%.80q: want <namespace>/<name> or <namespace>/*", text),
			"there is one slash, and no other wildcard than /*")
		return p, false
	}
	return p, true
}

// readFailure reads what happens when the time for a delivery is over.
func (e *endpoint) readFailure(s *kind.Spec) {
	e.policy.BrokenMax = s.Int("brokenMax", e.policy.WithDefaults().BrokenMax, 1, 1<<20)
	e.policy.DeadLetter = s.String("deadLetter", "")
	e.policy.Exhausted = map[string]remote.Action{
		"retry": remote.Retry, "suspend": remote.Suspend, "deadLetter": remote.DeadLetter,
	}[s.OneOf("whenExhausted", "retry", "retry", "suspend", "deadLetter")]
	switch dead := e.policy.Exhausted == remote.DeadLetter; {
	case dead && e.policy.DeadLetter == "":
		s.Problem("whenExhausted", "deadLetter: there is no egress for it", "give failure.deadLetter, <namespace>/<name>")
	case !dead && e.policy.DeadLetter != "":
		s.Problem("deadLetter", "nothing is sent there", "give whenExhausted: deadLetter")
	case dead && statefun.ValidateTypename(e.policy.DeadLetter) != nil:
		s.Problem("deadLetter", fmt.Sprintf("%.80q: want an egress, <namespace>/<name>", e.policy.DeadLetter), "")
	}
}

// loadTLS reads the files of an endpoint that uses TLS; it reports false if something is wrong with them.
func (e *endpoint) loadTLS(t *template) bool {
	named := e.tls
	named.AnyHost = false
	if t.scheme != "https" || t.unix && named == (TLSFiles{}) {
		return true
	}
	conf, problems := e.tls.load()
	for _, p := range problems {
		e.tlsFields.Problem(p.field, p.err.Error(), p.hint)
	}
	e.http.TLS = conf
	return len(problems) == 0
}
