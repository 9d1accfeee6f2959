// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"bytes"
	nethttp "net/http"
	"strings"
	"testing"
)

// A template becomes, for each function, where to connect to and what to ask for there.
func TestTemplate(t *testing.T) {
	tests := []struct {
		in, name string
		route    route
		host     string
		uri      string
		text     string // As in if empty.
	}{
		{
			in: "http://fns:8000/statefun", name: "greeter",
			route: route{network: "tcp", address: "fns:8000"}, host: "fns:8000", uri: "/statefun",
		},
		{
			in: "http://fns", name: "greeter", text: "http://fns/",
			route: route{network: "tcp", address: "fns:80"}, host: "fns", uri: "/",
		},
		{
			in: "HTTP://fns:80?a=b", name: "greeter", text: "http://fns:80/",
			route: route{network: "tcp", address: "fns:80"}, host: "fns", uri: "/?a=b",
		},
		{
			in: "https://fns:443/x#top", name: "greeter", text: "https://fns:443/x",
			route: route{network: "tcp", address: "fns:443", serverName: "fns"}, host: "fns", uri: "/x",
		},
		{
			in: "http://fns:443/", name: "greeter",
			route: route{network: "tcp", address: "fns:443"}, host: "fns:443", uri: "/",
		},
		{
			in: "https://[::1]:8443/{function.name}/{function.name}?f={function.name}", name: "a", text: "https://[::1]:8443/a/a",
			route: route{network: "tcp", address: "[::1]:8443", serverName: "::1"}, host: "[::1]:8443", uri: "/a/a?f=a",
		},
		{
			in: "http://[::1]:80/", name: "a",
			route: route{network: "tcp", address: "[::1]:80"}, host: "[::1]", uri: "/",
		},
		{
			in: "http://{function.name}.fns.svc:8000/x", name: "Greet-er_1", text: "http://Greet-er_1.fns.svc:8000/x",
			route: route{network: "tcp", address: "Greet-er_1.fns.svc:8000"}, host: "Greet-er_1.fns.svc:8000", uri: "/x",
		},
		{
			in: "http://fns/{function.name}?f={function.name}", name: "a/../b?c&d=é#f%", text: "http://fns/a%2F..%2Fb%3Fc%26d%3D%C3%A9%23f%25",
			route: route{network: "tcp", address: "fns:80"}, host: "fns",
			uri: "/a%2F..%2Fb%3Fc%26d%3D%C3%A9%23f%25?f=a%2F..%2Fb%3Fc%26d%3D%C3%A9%23f%25",
		},
		{
			in: "http://fns/a%2Fb/ä b?c d\r\nX: y", name: "x", text: "http://fns/a%2Fb/%C3%A4%20b",
			route: route{network: "tcp", address: "fns:80"}, host: "fns", uri: "/a%2Fb/%C3%A4%20b?c%20d%0D%0AX:%20y",
		},
		{
			in: "http://user:pa%40ss@fns/x", name: "x", text: "http://fns/x",
			route: route{network: "tcp", address: "fns:80"}, host: "fns", uri: "/x",
		},
		{
			in: "http+unix:///run/my%20fns.sock/path/of/{function.name}?a=b", name: "g", text: "http+unix:///run/my%20fns.sock/path/of/g",
			route: route{network: "unix", address: "/run/my fns.sock"}, host: "localhost", uri: "/path/of/g?a=b",
		},
		{
			in: "https+unix:///run/a.sock", name: "g", text: "https+unix:///run/a.sock/",
			route: route{network: "unix", address: "/run/a.sock"}, host: "localhost", uri: "/",
		},
		{
			in: "http+unix:///run/a.sock/b.sock/c", name: "g",
			route: route{network: "unix", address: "/run/a.sock"}, host: "localhost", uri: "/b.sock/c",
		},
		{
			in: "http+unix:///run/a.sockets/{function.name}.sock/c", name: "g", text: "http+unix:///run/a.sockets/g.sock/c",
			route: route{network: "unix", address: "/run/a.sockets/g.sock"}, host: "localhost", uri: "/c",
		},
	}
	for _, tt := range tests {
		tpl, err := parseTemplate(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if tt.text == "" {
			tt.text = tt.in
		}
		to := newTargets(tpl).of(tt.name)
		if to.err != nil || to.route != tt.route || to.host != tt.host || to.uri != tt.uri || to.text != tt.text {
			t.Errorf("%s for %s: %+v, want %+v", tt.in, tt.name, to, tt)
		}
	}
}

// What is malformed is refused when it is read, without being quoted.
func TestTemplateRefused(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "want http://",
		"fns:8000/x":                  "want http://",
		"ftp://fns/x":                 "want http://",
		"unix:///run/a.sock":          "want http://",
		"{function.name}://fns/x":     "want http://",
		"http://":                     "no host",
		"http:///x":                   "no host",
		"http://:80/":                 "no host",
		"http://fns:0/":               "port",
		"http://fns:65536/":           "port",
		"http://fns:{function.name}/": "not a URL",
		"http://fns\r\nX: y/":         "not a URL",
		"http://f ns/":                "not a URL",
		"http://fns/%zz":              "not a URL",
		"http://us%zzer:secret@fns/":  "user",
		"http://{function.name}@fns/": "user",
		"http://169.254.169.254/x":    "is refused",
		"http://[fe80::1%25eth0]/x":   "is refused",
		"http+unix:///run/fns/x":      ".sock",
		"http+unix://run/fns.sock/x":  "absolute",
		"http+unix:///run/" + strings.Repeat("long", 30) + ".sock": "longer than",
		"http+unix:///run/%00.sock":                                "malformed",
		"http+unix:///run/%zz.sock":                                "malformed",
	} {
		_, err := parseTemplate(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want one with %q", in, err, want)
		}
	}
}

// The name of a function, which may come with a message, leads nowhere but where it stands.
func TestTemplateNames(t *testing.T) {
	for in, names := range map[string][]string{
		"http://{function.name}.svc/x":           {"evil.com/", "evil.com#", "evil.com?", "a@evil.com", "a:1", "ä", ".", "..", "%2e", "[", "a b", ""},
		"http+unix:///run/{function.name}.sock/": {"../../etc/x", "a/b", "..", "a\x00b", "%2e%2e", ""},
		"http://fns/{function.name}":             {".", "..", ""},
	} {
		tpl, err := parseTemplate(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if to := tpl.target(name); to.err == nil || to.route != (route{}) {
				t.Errorf("%s for %q: %+v, want an error", in, name, to)
			}
		}
	}
}

// Targets are remembered, but not without end.
func TestTargetsBounded(t *testing.T) {
	tpl, err := parseTemplate("http://fns/{function.name}")
	if err != nil {
		t.Fatal(err)
	}
	ts := newTargets(tpl)
	first := ts.of("first")
	if ts.of("first") != first {
		t.Error("a target is not remembered")
	}
	for i := range 3 * targetsKept {
		ts.of(strings.Repeat("x", 1+i%97) + string(rune('a'+i%26)) + strings.Repeat("y", i/97))
	}
	if n := len(ts.known); n > targetsKept {
		t.Errorf("%d targets are remembered, want at most %d", n, targetsKept)
	}
}

// Whatever a template and a name are: no panic, and what is accepted makes one request line, to the host or
// socket that the template says.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"http://fns:8000/{function.name}", "https://{function.name}.svc/x?a={function.name}#f", "http+unix:///run/a.sock/x",
		"http+unix:///run/{function.name}.sock", "http://u:p@[::1]:80/", "http://%41/%2F?", "HTTPS://x", "http://fns/../{function.name}",
	} {
		f.Add(s, "greeter")
		f.Add(s, "../a@b:c?d#e%f\r\n")
	}
	f.Fuzz(func(t *testing.T, in, name string) {
		tpl, err := parseTemplate(in)
		if err != nil {
			return
		}
		to := tpl.target(name)
		if to.err != nil {
			return
		}
		p := newPeer()
		var sent bytes.Buffer
		p.w.Reset(&sent)
		if err := p.send(&call{to: to, buf: []byte("body")}); err != nil {
			t.Fatal(err)
		}
		r, err := nethttp.ReadRequest(bufio.NewReader(&sent))
		if err != nil {
			t.Fatalf("%q for %q makes no request: %v", in, name, err)
		}
		if r.Host != to.host || r.RequestURI != to.uri || r.Method != "POST" || r.ContentLength != 4 {
			t.Fatalf("%q for %q makes %+v", in, name, r)
		}
		if sample := tpl.target("name"); !strings.Contains(in, placeholder) && sample.route != to.route {
			t.Fatalf("%q for %q leads to %v, not to %v", in, name, to.route, sample.route)
		}
	})
}
