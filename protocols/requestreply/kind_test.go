// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/remote"
)

const (
	v1 = "io.statefun.endpoints.v1/http"
	v2 = "io.statefun.endpoints.v2/http"
)

// entries is a mapping: name, value, name, value; a value is a text, fields, or nil.
type entries []any

// node makes a mapping of which each field stands on a line of its own.
func node(f entries, line *int) *kind.Node {
	n := &kind.Node{Shape: kind.Mapping, Position: kind.Position{File: "module.yaml", Line: *line, Column: 1}}
	for i := 0; i < len(f); i += 2 {
		*line++
		at := kind.Position{File: "module.yaml", Line: *line, Column: 3}
		field := kind.Field{Position: at, Name: f[i].(string)}
		switch v := f[i+1].(type) {
		case nil:
			field.Value = &kind.Node{Position: at}
		case string:
			field.Value = &kind.Node{Position: at, Shape: kind.Scalar, Text: v}
		case entries:
			field.Value = node(v, line)
		}
		n.Fields = append(n.Fields, field)
	}
	return n
}

// brought is the endpoints that a component has brought. To anything else it says nil pointer.
type brought struct {
	kind.Target
	endpoints []remote.Endpoint
}

func (b *brought) Endpoint(e remote.Endpoint) { b.endpoints = append(b.endpoints, e) }

// bind reads a component, and returns its endpoint, if it has brought one, and the problems.
func bind(t *testing.T, name string, f entries) (*remote.Endpoint, []kind.Problem) {
	t.Helper()
	for _, k := range Kinds() {
		if k.Name != name {
			continue
		}
		if k.Ingress || !k.Lenient {
			t.Errorf("%+v: want no ingress, and lenient", k)
		}
		line := 1
		s := kind.NewSpec("spec", node(f, &line))
		var to brought
		k.Bind(s, &to)
		if len(to.endpoints) == 1 {
			return &to.endpoints[0], s.Problems(k.Lenient)
		}
		return nil, s.Problems(k.Lenient)
	}
	t.Fatalf("there is no kind %s", name)
	return nil, nil
}

// Modules that were written for StateFun mean what they meant there, default by default.
func TestKindDefaults(t *testing.T) {
	base := entries{"functions", "shop/*", "urlPathTemplate", "http://fns:8000/{function.name}"}
	transport := func(more ...any) entries { return append(base[:4:4], "transport", entries(more)) }
	policy := remote.Policy{
		MessagesMax: 1000, BytesMax: 32 << 20, InFlightMax: 1024, Call: 2 * time.Minute,
		RetryFirst: 4 * time.Millisecond, RetryMost: 30 * time.Second, BrokenMax: 6,
	}
	async := HTTPConfig{Connect: 20 * time.Second, PoolSize: 1024, PoolTTL: 15 * time.Second, PayloadMax: 32 << 20}
	okhttp := HTTPConfig{Connect: 10 * time.Second, Read: 10 * time.Second, Write: 10 * time.Second, PoolSize: 1024, PayloadMax: 32 << 20}
	okhttpPolicy := policy
	okhttpPolicy.Call, okhttpPolicy.RetryFirst = time.Minute, 10*time.Millisecond
	type want struct {
		policy remote.Policy
		http   HTTPConfig
	}
	with := func(w want, edit func(w *want)) want {
		edit(&w)
		return w
	}
	a, o := want{policy, async}, want{okhttpPolicy, okhttp}
	tests := []struct {
		name, kind string
		spec       entries
		want       want
	}{
		{"v2", v2, base, a},
		{"v2, transport without type", v2, transport("call", nil), a},
		{"async", v2, transport("type", asyncTransport), a},
		{
			"async, all", v2,
			transport("type", asyncTransport, "call", "45s", "connect", "3 sec", "pool_ttl", "0", "pool_size", "7", "payload_max_bytes", "268435456"),
			with(a, func(w *want) {
				w.policy.Call, w.policy.InFlightMax, w.policy.BytesMax = 45*time.Second, 7, 256<<20
				w.http = HTTPConfig{Connect: 3 * time.Second, PoolSize: 7, PayloadMax: 256 << 20}
			}),
		},
		{
			"async, small payloads", v2, transport("payload_max_bytes", "1000"),
			with(a, func(w *want) { w.http.PayloadMax = 1000 }),
		},
		{
			"async, empty timeouts", v2, transport("call", "45s", "connect", "3s", "timeouts", entries{}),
			with(a, func(w *want) { w.policy.Call, w.http.Connect = time.Minute, 10*time.Second }),
		},
		{
			"async, timeouts", v2, transport("timeouts", entries{"call", "1h"}),
			with(a, func(w *want) { w.policy.Call, w.http.Connect = time.Hour, 10*time.Second }),
		},
		{"async, null timeouts", v2, transport("timeouts", nil), a},
		{"okhttp", v2, transport("type", okhttpTransport), o},
		{
			"okhttp, timeouts", v2,
			transport("type", okhttpTransport, "timeouts", entries{"call", "2min", "connect", "1s", "read", "2s", "write", "120s"}),
			with(o, func(w *want) {
				w.policy.Call = 2 * time.Minute
				w.http.Connect, w.http.Read, w.http.Write = time.Second, 2*time.Second, 2*time.Minute
			}),
		},
		{"v1", v1, base, o},
		{
			"v1, timeouts", v1, append(base[:4:4], "timeouts", entries{"call", "30s", "read", "20s"}),
			with(o, func(w *want) { w.policy.Call, w.http.Read = 30*time.Second, 20*time.Second }),
		},
		{
			"v1, short call", v1, append(base[:4:4], "timeouts", entries{"call", "5s"}),
			with(o, func(w *want) {
				w.policy.Call = 5 * time.Second
				w.http.Connect, w.http.Read, w.http.Write = 5*time.Second, 5*time.Second, 5*time.Second
			}),
		},
		{
			"batches", v1, append(base[:4:4], "maxNumBatchRequests", "250"),
			with(o, func(w *want) { w.policy.MessagesMax = 250 }),
		},
		{
			"batches of any size", v2, append(base[:4:4], "maxNumBatchRequests", "-3"),
			with(a, func(w *want) { w.policy.MessagesMax = -1 }),
		},
		{
			"suspend", v2, append(base[:4:4], "failure", entries{"whenExhausted", "suspend", "brokenMax", "3"}),
			with(a, func(w *want) { w.policy.Exhausted, w.policy.BrokenMax = remote.Suspend, 3 }),
		},
		{
			"dead letters", v1, append(base[:4:4], "failure", entries{"whenExhausted", "deadLetter", "deadLetter", "shop.io/dead"}),
			with(o, func(w *want) { w.policy.Exhausted, w.policy.DeadLetter = remote.DeadLetter, "shop.io/dead" }),
		},
		{
			"addresses that are dropped", v1, append(base[:4:4], "idleAfter", "30d"),
			with(o, func(w *want) { w.policy.IdleAfter = 30 * 24 * time.Hour }),
		},
		{
			"without host names", v2, transport("verify_hostname", "false"), a,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, problems := bind(t, tt.kind, tt.spec)
			if e == nil || len(problems) > 0 {
				t.Fatalf("%v, want none", problems)
			}
			if err := e.Policy.Validate(); err != nil {
				t.Error(err)
			}
			if e.Functions != (remote.Pattern{Namespace: "shop", Name: "*"}) {
				t.Errorf("functions %v", e.Functions)
			}
			got := want{e.Policy, e.Invoker.(*HTTP).c}
			got.http.URL = ""
			if got.policy != tt.want.policy {
				t.Errorf("policy\n%+v, want\n%+v", got.policy, tt.want.policy)
			}
			if got.http.Connect != tt.want.http.Connect || got.http.Read != tt.want.http.Read ||
				got.http.Write != tt.want.http.Write || got.http.PoolSize != tt.want.http.PoolSize ||
				got.http.PoolTTL != tt.want.http.PoolTTL || got.http.PayloadMax != tt.want.http.PayloadMax {
				t.Errorf("http\n%+v, want\n%+v", got.http, tt.want.http)
			}
		})
	}
}

// Everything that is wrong is told at once, where it stands; what is unknown is a warning.
func TestKindProblems(t *testing.T) {
	base := entries{"functions", "shop/cart", "urlPathTemplate", "http://fns:8000/"}
	transport := func(more ...any) entries { return append(base[:4:4], "transport", entries(more)) }
	tests := []struct {
		name, kind string
		spec       entries
		want       []string // Parts of the problems, in order.
	}{
		{"nothing", v2, entries{}, []string{
			"module.yaml:1:1: spec.functions: missing; give <namespace>/<name>",
			"module.yaml:1:1: spec.urlPathTemplate: missing; give where the functions are",
		}},
		{"null", v1, entries{"functions", nil, "urlPathTemplate", nil}, []string{"spec.functions: missing", "spec.urlPathTemplate: missing"}},
		{
			"function without namespace", v2,
			entries{"functions", "cart", "urlPathTemplate", "http://fns/"},
			[]string{`module.yaml:2:3: spec.functions: "cart": want <namespace>/<name>`},
		},
		{"namespace with slash", v2, entries{"functions", "org/shop/cart", "urlPathTemplate", "http://fns/"}, []string{"one slash"}},
		{"namespace with slash, all", v2, entries{"functions", "org/shop/*", "urlPathTemplate", "http://fns/"}, []string{"one slash"}},
		{"another wildcard", v2, entries{"functions", "shop/c*", "urlPathTemplate", "http://fns/"}, []string{"spec.functions"}},
		{"functions empty", v2, entries{"functions", "", "urlPathTemplate", "http://fns/"}, []string{"spec.functions"}},
		{"functions in a list", v2, entries{"functions", entries{}, "urlPathTemplate", "http://fns/"}, []string{"spec.functions: a mapping: want a text", "spec.functions"}},
		{
			"scheme", v2,
			entries{"functions", "shop/cart", "urlPathTemplate", "tcp://u:secret@fns/"},
			[]string{"module.yaml:3:3: spec.urlPathTemplate: want http://"},
		},
		{"metadata", v2, entries{"functions", "shop/cart", "urlPathTemplate", "http://169.254.169.254/"}, []string{"is refused"}},
		{"no socket", v1, entries{"functions", "shop/cart", "urlPathTemplate", "http+unix:///run/fns"}, []string{"ends in .sock"}},
		{"batches", v2, append(base[:4:4], "maxNumBatchRequests", "many"), []string{"spec.maxNumBatchRequests"}},
		{"transport", v2, transport("type", "io.statefun.transports.v1/quic"), []string{"spec.transport.type: \"io.statefun.transports.v1/quic\": want one of"}},
		{
			"async", v2,
			transport("call", "soon", "connect", "-1", "pool_ttl", "1 week", "pool_size", "0", "payload_max_bytes", "lots", "verify_hostname", "maybe"),
			[]string{
				"spec.transport.call", "spec.transport.connect", "spec.transport.pool_ttl", "spec.transport.pool_size",
				"spec.transport.payload_max_bytes", "spec.transport.verify_hostname",
			},
		},
		{"async, no time", v2, transport("call", "0"), []string{"spec.transport.call"}},
		{
			"okhttp, zero", v2, transport("type", okhttpTransport, "timeouts", entries{"call", "0", "connect", "0", "read", "0", "write", "0"}),
			[]string{"timeouts.call", "timeouts.connect", "timeouts.read", "timeouts.write"},
		},
		{
			"v1, longer than call", v1, append(base[:4:4], "timeouts", entries{"call", "5s", "connect", "6s", "read", "7s", "write", "8s"}),
			[]string{"spec.timeouts.connect: 6s, but call is 5s", "spec.timeouts.read", "spec.timeouts.write"},
		},
		{"failure", v2, append(base[:4:4], "failure", entries{"whenExhausted", "cry", "brokenMax", "0"}), []string{"failure.brokenMax", "failure.whenExhausted"}},
		{"dead letters nowhere", v2, append(base[:4:4], "failure", entries{"whenExhausted", "deadLetter"}), []string{"there is no egress"}},
		{"dead letters never", v2, append(base[:4:4], "failure", entries{"deadLetter", "shop.io/dead"}), []string{"nothing is sent there"}},
		{
			"dead letters to no egress", v2, append(base[:4:4], "failure", entries{"whenExhausted", "deadLetter", "deadLetter", "dead"}),
			[]string{"want an egress"},
		},
		{"addresses that are dropped at once", v2, append(base[:4:4], "idleAfter", "0"), []string{"spec.idleAfter: \"0\": want a duration from 1ms"}},
		{"unknown", v2, append(base[:4:4], "urlPathtemplate", "x"), []string{"warning: spec.urlPathtemplate: unknown field"}},
		{"unknown in transport", v2, transport("poolSize", "x"), []string{"warning: spec.transport.poolSize: unknown field"}},
		{"timeouts at the wrong place", v2, append(base[:4:4], "timeouts", entries{}), []string{"warning: spec.timeouts: unknown field"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := bind(t, tt.kind, tt.spec)
			if len(problems) != len(tt.want) {
				t.Fatalf("%v, want %d problems", problems, len(tt.want))
			}
			for i, p := range problems {
				if !strings.Contains(p.Error(), tt.want[i]) || strings.Contains(p.Error(), "secret") {
					t.Errorf("%v, want %s", p, tt.want[i])
				}
			}
		})
	}
}

// The files of TLS are read when the module is, if they are used.
func TestKindTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	caFile, certFile := file(t, "ca.pem", ca.pem), file(t, "c.pem", cert)
	keyFile, password := file(t, "c.p8", keyPEM(t, key, "a password")), file(t, "password", []byte("a password"))
	transport := func(url string, more ...any) entries {
		return entries{"functions", "shop/cart", "urlPathTemplate", url, "transport", entries(more)}
	}
	tests := []struct {
		name string
		spec entries
		tls  bool
		want []string
	}{
		{name: "none", spec: transport("https://fns/"), tls: true},
		{name: "all", spec: transport("https://fns/", "trust_cacerts", "file:"+caFile, "client_cert", certFile, "client_key", keyFile, "client_key_password", password), tls: true},
		{name: "not used", spec: transport("http://fns/", "trust_cacerts", "/nowhere")},
		{name: "unix, none", spec: transport("https+unix:///run/fns.sock", "verify_hostname", "false")},
		{name: "unix", spec: transport("https+unix:///run/fns.sock", "trust_cacerts", caFile), tls: true},
		{name: "okhttp", spec: transport("https://fns/", "type", okhttpTransport, "verify_hostname", "false"), tls: true},
		{
			name: "classpath", spec: transport("https://fns/", "trust_cacerts", "classpath:ca.pem"),
			want: []string{"module.yaml:5:3: spec.transport.trust_cacerts: classpath: is not supported; give the path of a file"},
		},
		{name: "half", spec: transport("https://fns/", "client_key", keyFile), want: []string{"client_cert and client_key belong together"}},
		{
			name: "several", spec: transport("https://fns/", "client_cert", "/nowhere/1", "client_key", "/nowhere/2", "trust_cacerts", "/nowhere/3"),
			want: []string{"spec.transport.trust_cacerts", "module.yaml:5:3: spec.transport.client_cert", "module.yaml:6:3: spec.transport.client_key"},
		},
		{
			name: "wrong password", spec: transport("https://fns/", "client_cert", certFile, "client_key", keyFile, "client_key_password", caFile),
			want: []string{"spec.transport.client_key: the key cannot be decrypted: the password is wrong"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, problems := bind(t, v2, tt.spec)
			if len(problems) != len(tt.want) {
				t.Fatalf("%v, want %d problems", problems, len(tt.want))
			}
			for i, p := range problems {
				if !strings.Contains(p.Error(), tt.want[i]) {
					t.Errorf("%v, want %s", p, tt.want[i])
				}
			}
			if len(tt.want) == 0 && (e.Invoker.(*HTTP).c.TLS != nil) != tt.tls {
				t.Errorf("TLS is %v, want one: %t", e.Invoker.(*HTTP).c.TLS, tt.tls)
			}
		})
	}
}
