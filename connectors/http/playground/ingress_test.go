// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
)

// What StateFun's playground takes reaches the engine in the same way, and is answered with a status line,
// a header and nothing else.
func TestIngressTakes(t *testing.T) {
	const greet, str = "example/GreetRequest", "io.statefun.types/string"
	bob := address("example", "person", "Bob")
	tests := []struct {
		name, request string
		want          received
	}{
		{"as the documentation has it", put("/example/person/Bob", `{"name": "Bob"}`), received{bob, greet, `{"name": "Bob"}`}},
		{"post", request("POST", "/example/person/Bob", "v", vnd), received{bob, greet, "v"}},
		{"get", request("GET", "/example/person/Bob", "v", vnd), received{bob, greet, "v"}},
		{"get without a body", request("GET", "/example/person/Bob", "", vnd), received{bob, greet, ""}},
		{"delete", request("DELETE", "/example/person/Bob", "v", vnd), received{bob, greet, "v"}},
		{"a method of its own", request("GREET", "/example/person/Bob", "v", vnd), received{bob, greet, "v"}},
		{"head", request("HEAD", "/example/person/Bob", "", vnd), received{bob, greet, ""}},
		{"other content type", request("PUT", "/example/person/Bob", "v", "Content-Type: text/plain"), received{bob, str, "v"}},
		{"what curl sends", request("PUT", "/example/person/Bob", "v", "Content-Type: application/x-www-form-urlencoded"), received{bob, str, "v"}},
		{"empty content type", request("PUT", "/example/person/Bob", "v", "Content-Type:"), received{bob, str, "v"}},
		{"in capitals", request("PUT", "/example/person/Bob", "v", "Content-Type: application/VND.a/b"), received{bob, str, "v"}},
		{"header name in capitals", request("PUT", "/example/person/Bob", "v", "CONTENT-TYPE:application/vnd.a/B"), received{bob, "a/B", "v"}},
		{"to the letter", request("PUT", "/example/person/Bob", "v", "Content-Type: application/vnd.a/b; charset=x"), received{bob, "a/b; charset=x", "v"}},
		{"no type's name", request("PUT", "/example/person/Bob", "v", "Content-Type: application/vnd.json"), received{bob, "json", "v"}},
		{"nothing behind", request("PUT", "/example/person/Bob", "v", "Content-Type: application/vnd."), received{bob, "", "v"}},
		{
			"the first that fits", request("PUT", "/example/person/Bob", "v", "Content-Type: text/plain",
				"Content-Type: application/vnd.a/b", "Content-Type: application/vnd.c/d"), received{bob, "a/b", "v"},
		},
		{"a string is not wrapped", request("PUT", "/example/person/Bob", "\x0a\x01v", "Content-Type: application/vnd."+str), received{bob, str, "\x0a\x01v"}},
		{"bytes", put("/example/person/Bob", "\x00\xff\r\n"), received{bob, greet, "\x00\xff\r\n"}},
		{"encoded content stays", request("PUT", "/example/person/Bob", "v", vnd, "Content-Encoding: gzip"), received{bob, greet, "v"}},
		{"a query goes unseen", put("/example/person/Bob?a=/b/c&d#e", "v"), received{bob, greet, "v"}},
		{"absolute form", put("http://h/example/person/Bob", "v"), received{bob, greet, "v"}},
		{"decoded once", put("/a%2Fb/c/%2525%2F%00%ff", "v"), received{address("a/b", "c", "%25/\x00\xff"), greet, "v"}},
		{"as it is", put("/./../a+b;c=d", "v"), received{address(".", "..", "a+b;c=d"), greet, "v"}},
		{
			"chunks", request("PUT", "/example/person/Bob", "", vnd, "Transfer-Encoding: chunked") + "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
			received{bob, greet, "abc"},
		},
		{"expect", request("PUT", "/example/person/Bob", "v", vnd, "Expect: x"), received{bob, greet, "v"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{}
			in := openIngress(t, e, 1000)
			if got := ask(t, in.server, tt.request); got != (answer{line: "200", status: "200"}) {
				t.Errorf("answered %+v", got)
			}
			if got := e.received(); !reflect.DeepEqual(got, []received{tt.want}) {
				t.Errorf("received %#v, want %#v", got, tt.want)
			}
		})
	}
}

// What StateFun refuses is refused in its way: nothing but the header Status says so.
func TestIngressRefusesBadPaths(t *testing.T) {
	for _, target := range []string{
		"/", "/a", "/a/b", "/a/b/", "/a/b/c/", "/a/b/c/d", "/a//c", "//b/c", "/a/b/%", "/a/b/%zz", "/a/b%2Fc/d", "*", "/a/b/c#d",
	} {
		t.Run(target, func(t *testing.T) {
			e := &entry{}
			in := openIngress(t, e, 1000)
			if got := ask(t, in.server, request("PUT", target, "", vnd)); got != (answer{line: "200", status: "500"}) {
				t.Errorf("answered %+v", got)
			}
			if got := e.received(); len(got) > 0 {
				t.Errorf("received %v", got)
			}
		})
	}
}

// Who wonders about the header Status finds the reason beside it.
func TestIngressSaysWhatIsWrongWithAPath(t *testing.T) {
	in := openIngress(t, &entry{}, 1000)
	c := dial(t, in.server)
	if _, err := io.WriteString(c, put("/a/b", "")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.Header.Get("Millrace-Error") != "the path has not exactly three segments" {
		t.Errorf("%v, %v", resp, err)
	}
}

// For everything that StateFun has no answer for, the status line tells the truth.
func TestIngressRefuses(t *testing.T) {
	whole := put("/example/person/Bob", "v")
	tests := []struct {
		name, request string
		err           error
		status, code  string
		closes        bool
	}{
		{name: "no content type", request: request("PUT", "/a/b/c", "v"), status: "500", code: "no_content_type", closes: true},
		{name: "nothing at all", request: request("GET", "/a/b/c", ""), status: "500", code: "no_content_type"},
		{name: "body over the limit", request: put("/a/b/c", strings.Repeat("v", 101)), status: "413", code: "body_too_large", closes: true},
		{
			name: "announced over the limit", request: request("PUT", "/a/b/c", "", vnd, "Content-Length: 99999999999") + "v",
			status: "413", code: "body_too_large", closes: true,
		},
		{
			name: "length and chunks", request: request("PUT", "/a/b/c", "0\r\n\r\n", vnd, "Transfer-Encoding: chunked"),
			status: "400", code: "bad_request", closes: true,
		},
		{name: "not HTTP", request: "\x16\x03\x01\r\n\r\n", status: "400", code: "bad_request", closes: true},
		{name: "HTTP/2", request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: "505", code: "version_not_supported", closes: true},
		{
			name: "head too large", request: request("PUT", "/a/b/c", "", "X: "+strings.Repeat("x", server.HeadBytesMax)),
			status: "431", code: "header_too_large", closes: true,
		},
		{name: "unknown function", request: whole, err: connector.ErrUnknownFunction, status: "404", code: "unknown_function_type"},
		{name: "unknown message", request: whole, err: connector.ErrUnknownMessage, status: "415", code: "message_type_not_accepted"},
		{name: "malformed", request: whole, err: connector.ErrMalformed, status: "400", code: "malformed"},
		{name: "too large", request: whole, err: connector.ErrTooLarge, status: "413", code: "too_large"},
		{name: "no credit", request: whole, err: connector.ErrNoCredit, status: "503", code: "out_of_credit"},
		{name: "suspended", request: whole, err: connector.ErrSuspended, status: "503", code: "suspended"},
		{name: "closing", request: whole, err: connector.ErrClosing, status: "503", code: "closing"},
		{name: "broken", request: whole, err: errors.New("anything else"), status: "500", code: "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{}
			if tt.err != nil {
				e.err = fmt.Errorf("engine: %w", tt.err)
			}
			in := openIngress(t, e, 100)
			got := ask(t, in.server, tt.request)
			if got.line != tt.status || got.status != tt.status || got.closes != tt.closes {
				t.Errorf("answered %+v, want %s and Connection: close = %t", got, tt.status, tt.closes)
			}
			if !strings.HasPrefix(got.body, `{"error":{"code":"`+tt.code+`",`) {
				t.Errorf("answered with %q, want code %s", got.body, tt.code)
			}
			if got := e.received(); len(got) > 0 {
				t.Errorf("received %v", got)
			}
		})
	}
}

// Requests behind each other on one connection are answered in turn, whatever becomes of them.
func TestIngressKeepsConnections(t *testing.T) {
	e := &entry{}
	in := openIngress(t, e, 1000)
	c := dial(t, in.server)
	requests := put("/a/b/1", "v") + put("/a/b", "") + request("GET", "/a/b/c", "") + request("HEAD", "/a/b/2", "", vnd) + put("/a/b/3", "v")
	if _, err := io.WriteString(c, requests); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for i, want := range []string{"200 200", "200 500", "500 500", "200 200", "200 200"} {
		if got := read(t, r, i == 3); got.line+" "+got.status != want || got.closes {
			t.Errorf("answer %d is %+v, want %s", i, got, want)
		}
	}
	if got := e.received(); len(got) != 3 {
		t.Errorf("received %v, want 1, 2 and 3", got)
	}
}
