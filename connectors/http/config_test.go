// SPDX-License-Identifier: Apache-2.0

package http

import (
	"strings"
	"testing"
	"time"
)

// Every limit is tested at its ends and one step beyond. The text of a refusal names the field as the
// configuration file has it.
func TestIngressConfigValidate(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*IngressConfig)
		refused []string // Nothing: accepted.
	}{
		{"defaults", func(*IngressConfig) {}, nil},
		{"id", func(c *IngressConfig) { c.ID = "shop.io/http" }, nil},
		{"bad id", func(c *IngressConfig) { c.ID = "shop" }, []string{`id: "shop"`}},
		{"no address", func(c *IngressConfig) { c.Address = "" }, []string{`address: ""`}},
		{"no port", func(c *IngressConfig) { c.Address = "localhost" }, []string{`address: "localhost"`}},
		{"named port", func(c *IngressConfig) { c.Address = "localhost:http" }, []string{"address:"}},
		{"largest port", func(c *IngressConfig) { c.Address = ":65535" }, nil},
		{"port one over", func(c *IngressConfig) { c.Address = ":65536" }, []string{"address:"}},
		{"IPv6", func(c *IngressConfig) { c.Address = "[::1]:80" }, nil},
		{"unix", func(c *IngressConfig) { c.Address = "unix:/run/x.sock" }, nil},
		{"unix without a path", func(c *IngressConfig) { c.Address = "unix:" }, []string{"address:"}},
		{"unix, abstract", func(c *IngressConfig) { c.Address = "unix:@x" }, []string{"address:"}},
		{"longest path", func(c *IngressConfig) { c.Address = "unix:" + strings.Repeat("x", 107) }, nil},
		{"path one over", func(c *IngressConfig) { c.Address = "unix:" + strings.Repeat("x", 108) }, []string{"address:"}},
		{"smallest body", func(c *IngressConfig) { c.MaxBodyBytes = 1 }, nil},
		{"largest body", func(c *IngressConfig) { c.MaxBodyBytes = 1 << 30 }, nil},
		{"body one over", func(c *IngressConfig) { c.MaxBodyBytes = 1<<30 + 1 }, []string{"maxBodyBytes"}},
		{"body below", func(c *IngressConfig) { c.MaxBodyBytes = -1 }, []string{`maxBodyBytes: "-1": want 1 to 1073741824`}},
		{"shortest timeout", func(c *IngressConfig) { c.ReadTimeout = time.Millisecond }, nil},
		{"timeout below", func(c *IngressConfig) { c.ReadTimeout = time.Millisecond - 1 }, []string{"readTimeout"}},
		{"longest timeout", func(c *IngressConfig) { c.CallTimeout = 24 * time.Hour }, nil},
		{"timeout over", func(c *IngressConfig) { c.CallTimeout = 24*time.Hour + 1 }, []string{"callTimeout"}},
		{"accepted", func(c *IngressConfig) { c.Ack = "accepted" }, nil},
		{"durable", func(c *IngressConfig) { c.Ack = "durable" }, nil},
		{"other ack", func(c *IngressConfig) { c.Ack = "perhaps" }, []string{`ack: "perhaps": want accepted or durable`}},
		{"shortest window", func(c *IngressConfig) { c.IdempotencyWindow = time.Second }, nil},
		{"window below", func(c *IngressConfig) { c.IdempotencyWindow = time.Second - 1 }, []string{"idempotencyWindow"}},
		{"longest window", func(c *IngressConfig) { c.IdempotencyWindow = 366 * 24 * time.Hour }, nil},
		{"window over", func(c *IngressConfig) { c.IdempotencyWindow = 366*24*time.Hour + 1 }, []string{"idempotencyWindow"}},
		{"longest name", func(c *IngressConfig) { c.Address = strings.Repeat("x", 510) + ":1" }, nil},
		{"name one over", func(c *IngressConfig) { c.Address = strings.Repeat("x", 511) + ":1" }, []string{"address:"}},
		{"cert without key", func(c *IngressConfig) { c.TLS.Cert = "c" }, []string{"tls:"}},
		{"client CA alone", func(c *IngressConfig) { c.TLS.ClientCA = "c" }, []string{"tls.clientCA"}},
		{"most connections", func(c *IngressConfig) { c.MaxConnections = 1 << 20 }, nil},
		{"connections one over", func(c *IngressConfig) { c.MaxConnections = 1<<20 + 1 }, []string{"maxConnections"}},
		{"connections of one below", func(c *IngressConfig) { c.MaxConnectionsPerIP = -1 }, []string{"maxConnectionsPerIP"}},
		{"all at once", func(c *IngressConfig) {
			*c = IngressConfig{WriteTimeout: -1, IdleTimeout: -1, Ack: "x"}
		}, []string{"address", "writeTimeout", "idleTimeout", "ack"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := IngressConfig{Address: "127.0.0.1:8090"}
			tt.change(&c)
			_, err := NewIngress(c)
			checkRefusal(t, err, tt.refused)
		})
	}
}

func checkRefusal(t *testing.T, err error, want []string) {
	t.Helper()
	if (err != nil) != (len(want) > 0) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

func TestIngressConfigDefaults(t *testing.T) {
	got := IngressConfig{}.withDefaults()
	got.Logger = nil
	want := IngressConfig{
		MaxBodyBytes: 1 << 20, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, CallTimeout: 30 * time.Second, IdempotencyWindow: 24 * time.Hour, MaxConnections: 16384,
	}
	if got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
}

func TestEgressConfigValidate(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*EgressConfig)
		refused []string
	}{
		{"defaults", func(*EgressConfig) {}, nil},
		{"no id", func(c *EgressConfig) { c.ID = "" }, []string{`id: ""`}},
		{"header", func(c *EgressConfig) { c.Headers = map[string]string{"X-A": "b\t", "authorization": "Bearer x"} }, nil},
		{"header of ours", func(c *EgressConfig) { c.Headers = map[string]string{"millrace-sender": "x"} }, []string{"headers"}},
		{"header of HTTP", func(c *EgressConfig) { c.Headers = map[string]string{"Content-length": "1"} }, []string{"headers"}},
		{"header with a colon", func(c *EgressConfig) { c.Headers = map[string]string{"X:": "1"} }, []string{"headers"}},
		{"header with a line", func(c *EgressConfig) { c.Headers = map[string]string{"X": "a\r\nY: b"} }, []string{"headers.X"}},
		{"timeout below", func(c *EgressConfig) { c.Timeout = -1 }, []string{"timeout"}},
		{"most in flight", func(c *EgressConfig) { c.MaxInFlight = 4096 }, nil},
		{"in flight one over", func(c *EgressConfig) { c.MaxInFlight = 4097 }, []string{"maxInFlight"}},
		{"attempts below", func(c *EgressConfig) { c.MaxAttempts = -1 }, []string{"maxAttempts"}},
		{"queued below", func(c *EgressConfig) { c.MaxQueued = -1 }, []string{"maxQueued"}},
		{"all at once", func(c *EgressConfig) { *c = EgressConfig{MaxInFlight: -1} }, []string{"id", "url", "maxInFlight"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := EgressConfig{ID: "shop.io/out", URL: "http://127.0.0.1:9000/hook"}
			tt.change(&c)
			_, err := NewEgress(c)
			checkRefusal(t, err, tt.refused)
		})
	}
}

func TestParseEndpoint(t *testing.T) {
	tests := []struct {
		in      string
		want    endpoint
		refused string
	}{
		{in: "http://h", want: endpoint{network: "tcp", address: "h:80", host: "h", uri: "/"}},
		{in: "http://h:9000/hook?a=b%20c", want: endpoint{network: "tcp", address: "h:9000", host: "h:9000", uri: "/hook?a=b%20c"}},
		{in: "http://h/a/../b//c%2Fd", want: endpoint{network: "tcp", address: "h:80", host: "h", uri: "/a/../b//c%2Fd"}},
		{in: "https://h", want: endpoint{network: "tcp", address: "h:443", serverName: "h", host: "h", uri: "/"}},
		{in: "http://[::1]:9000", want: endpoint{network: "tcp", address: "[::1]:9000", host: "[::1]:9000", uri: "/"}},
		{in: "http+unix:///run/x.sock/a/b", want: endpoint{network: "unix", address: "/run/x.sock", host: "localhost", uri: "/a/b"}},
		{in: "http+unix:///run/x%20y.sock/a%2Fb", want: endpoint{network: "unix", address: "/run/x y.sock", host: "localhost", uri: "/a%2Fb"}},
		{in: "http+unix:///run/x.sock?q", want: endpoint{network: "unix", address: "/run/x.sock", host: "localhost", uri: "/?q"}},
		{in: "http+unix:///run/x.socket", want: endpoint{network: "unix", address: "/run/x.socket", host: "localhost", uri: "/"}},
		{in: "http+unix:///a.sock/b.sock", want: endpoint{network: "unix", address: "/a.sock", host: "localhost", uri: "/b.sock"}},
		{in: "", refused: "scheme"},
		{in: "h:80/x", refused: "scheme"},
		{in: "ftp://h", refused: "scheme"},
		{in: "http:///x", refused: "no host"},
		{in: "http://a:b@h", refused: "password"},
		{in: "http://h/%zz", refused: "not a URL"},
		{in: "http://h/#x", refused: "fragment"},
		{in: "http+unix://h/x.sock", refused: "socket"},
		{in: "http+unix:///", refused: "socket"},
		{in: "http+unix:///" + strings.Repeat("x", 107), refused: "socket"},
		{in: "http://169.254.169.254/latest", refused: "metadata"},
		{in: "http://[fe80::1%25eth0]/", refused: "link-local"},
	}
	for _, tt := range tests {
		got, err := parseEndpoint(tt.in)
		if got != tt.want || (err != nil) != (tt.refused != "") {
			t.Errorf("parseEndpoint(%q) = %+v, %v; want %+v, refused for %q", tt.in, got, err, tt.want, tt.refused)
		}
		if err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("parseEndpoint(%q): %v lacks %q", tt.in, err, tt.refused)
		}
	}
}
