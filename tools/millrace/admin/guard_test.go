// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask sends a request with the given headers, "Host" among them, and returns status and body.
func ask(t *testing.T, addr, method, path string, headers ...string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	base := "http://" + addr
	if socket, ok := strings.CutPrefix(addr, "unix:"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Who may ask for what, by address, token, Host and origin.
func TestGuard(t *testing.T) {
	token := tokenFile(t, secret+"\n")
	servers := map[string]string{}
	for name, c := range map[string][2]string{
		"loopback":       {"127.0.0.1:0", ""},
		"loopback+token": {"127.0.0.1:0", token},
		"outside+token":  {"0.0.0.0:0", token},
		"unix":           {"unix:" + filepath.Join(t.TempDir(), "admin"), ""},
	} {
		addr := start(t, c[0], c[1]).Addr()
		servers[name] = strings.Replace(addr, "0.0.0.0", "127.0.0.1", 1)
	}
	const resume, stats = "/v1/resume?address=zoo/parrot/a", "/v1/stats"
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	tests := []struct {
		server, method, path string
		headers              []string
		want                 int
	}{
		// Open to everybody who can connect, whatever they say.
		{"loopback", "GET", "/healthz", []string{"Host", "evil.example"}, 200},
		{"loopback", "GET", "/readyz", []string{"Host", "evil.example", "Sec-Fetch-Site", "cross-site"}, 200},
		{"loopback", "GET", "/metrics", nil, 200},
		{"outside+token", "GET", "/healthz", nil, 200},
		{"outside+token", "GET", "/readyz", []string{"Host", "10.0.0.7:8081"}, 200},
		{"outside+token", "GET", "/metrics", nil, 200},

		// On this machine no token is needed.
		{"loopback", "GET", stats, nil, 200},
		{"loopback", "POST", resume, nil, 202},
		{"loopback", "GET", "/debug/pprof/", nil, 200},
		{"loopback", "GET", stats, []string{"Host", "localhost"}, 200},
		{"loopback", "GET", stats, []string{"Host", "LOCALHOST.:8081"}, 200},
		{"loopback", "GET", stats, []string{"Host", "[::1]:8081"}, 200},
		{"loopback", "GET", stats, []string{"Host", "[::1]"}, 200},
		{"loopback", "GET", stats, []string{"Host", "127.1.2.3"}, 200},
		{"unix", "GET", stats, nil, 200},
		{"unix", "POST", resume, nil, 202},

		// A name that only stands for this machine may be an attacker's.
		{"loopback", "GET", stats, []string{"Host", "evil.example"}, 403},
		{"loopback", "GET", stats, []string{"Host", "evil.example:8081"}, 403},
		{"loopback", "GET", stats, []string{"Host", "localhost.evil.example"}, 403},
		{"loopback", "GET", stats, []string{"Host", "127.0.0.1.evil.example"}, 403},
		{"loopback", "GET", stats, []string{"Host", "192.0.2.1"}, 403},
		{"loopback", "POST", resume, []string{"Host", "evil.example"}, 403},
		{"loopback", "GET", "/debug/pprof/heap", []string{"Host", "evil.example"}, 403},
		{"loopback", "GET", "/nothing/here", []string{"Host", "evil.example"}, 403},
		{"loopback+token", "GET", stats, append(bearer(secret), "Host", "evil.example"), 403},
		{"unix", "POST", resume, []string{"Host", "evil.example"}, 403},

		// A page of another origin may not ask, not even for what it could not read.
		{"loopback", "POST", resume, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"loopback", "POST", resume, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"loopback", "POST", resume, []string{"Origin", "http://evil.example"}, 403},
		{"loopback", "POST", resume, []string{"Origin", "null"}, 403},
		{"loopback", "POST", resume, []string{"Host", "localhost:1", "Origin", "http://localhost:2"}, 403},
		{"loopback", "GET", "/debug/pprof/profile?seconds=30", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"loopback", "POST", resume, []string{"Host", "localhost:1", "Origin", "http://localhost:1"}, 202},
		{"loopback", "GET", stats, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"loopback", "GET", stats, []string{"Sec-Fetch-Site", "none"}, 200},
		{"outside+token", "POST", resume, append(bearer(secret), "Sec-Fetch-Site", "cross-site"), 403},

		// Elsewhere, and where there is one, the token decides.
		{"outside+token", "GET", stats, nil, 401},
		{"outside+token", "GET", "/debug/pprof/", nil, 401},
		{"outside+token", "GET", "/debug/pprof/cmdline", nil, 401},
		{"outside+token", "POST", "/v1/send", nil, 401},
		{"outside+token", "POST", "/v1/call", nil, 401},
		{"outside+token", "GET", "/v1/suspended", nil, 401},
		{"outside+token", "POST", resume, nil, 401},
		{"outside+token", "GET", "/nothing/here", nil, 401},
		{"outside+token", "GET", stats, bearer(""), 401},
		{"outside+token", "GET", stats, bearer(secret + "x"), 401},
		{"outside+token", "GET", stats, bearer(secret[1:]), 401},
		{"outside+token", "GET", stats, []string{"Authorization", secret}, 401},
		{"outside+token", "GET", stats, []string{"Authorization", "Basic " + secret}, 401},
		{"outside+token", "GET", stats, bearer(secret), 200},
		{"outside+token", "GET", stats, []string{"Authorization", "bearer " + secret}, 200},
		{"outside+token", "GET", stats, append(bearer(secret), "Host", "millrace.internal"), 200},
		{"outside+token", "POST", resume, bearer(secret), 202},
		{"loopback+token", "GET", stats, nil, 401},
		{"loopback+token", "GET", stats, bearer(secret), 200},

		{"loopback", "GET", "/nothing/here", nil, 404},
		{"loopback", "GET", "/v1/send", nil, 405},
		{"loopback", "POST", stats, nil, 405},
		{"loopback", "POST", "/metrics", nil, 404}, // As everything that is not one of the open three.
	}
	for _, tt := range tests {
		if got, body := ask(t, servers[tt.server], tt.method, tt.path, tt.headers...); got != tt.want {
			t.Errorf("%s: %s %s with %q: status %d: %s; want %d", tt.server, tt.method, tt.path, tt.headers, got, body, tt.want)
		}
	}
}

// A token that others can read is still used, and said so; it is never logged itself.
func TestExposedToken(t *testing.T) {
	token := tokenFile(t, secret+"\n")
	_, quiet := serve(t, "127.0.0.1:0", token)
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	s, l := serve(t, "127.0.0.1:0", token)
	if got, _ := ask(t, s.Addr(), "GET", "/v1/stats", "Authorization", "Bearer "+secret); got != 200 {
		t.Errorf("status %d", got)
	}
	if quiet.String() != "" || !strings.Contains(l.String(), "chmod 600") || strings.Contains(l.String(), secret) {
		t.Errorf("logged %q, then %q", quiet, l)
	}
}

// Only its owner may open the socket. One that nobody listens on any more is replaced, nothing else is.
func TestUnixSocket(t *testing.T) {
	folder := t.TempDir()
	socket := filepath.Join(folder, "admin")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil { // What a killed process leaves.
		t.Fatal(err)
	}
	s, _ := serve(t, "unix:"+socket, "")
	info, err := os.Stat(socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if status, _ := ask(t, s.Addr(), "GET", "/healthz"); status != 200 {
		t.Errorf("status %d", status)
	}
	if _, err := open("unix:" + socket); err == nil || !strings.Contains(err.Error(), "in use by a running process") {
		t.Errorf("a second server: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open("unix:" + socket); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("in place of a file: %v", err)
	}
}
