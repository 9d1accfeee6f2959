// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

const answerMax = 1 << 16 // PayloadMax of these tests.

func compressed(t testing.TB, body []byte, newWriter func(w io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	w := newWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zlibbed(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

func deflated(w io.Writer) io.WriteCloser {
	f, err := flate.NewWriter(w, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	return f
}

const octet = "Content-Type: application/octet-stream\r\n"

// Every way of answering success is understood, with and without the length, whole or in pieces.
func TestAnswerOfSuccess(t *testing.T) {
	body := echoBytes(mustAppend(t, "hello"))
	tests := []struct {
		name, answer string
		closed       bool // The connection, by the server or because it cannot be used again.
		open         bool // The server leaves it open, but listens no more.
	}{
		{name: "plain", answer: ok(body)},
		{name: "another 2xx", answer: strings.Replace(ok(body), "200 OK", "207 Whatever", 1)},
		{name: "no reason phrase", answer: strings.Replace(ok(body), "200 OK", "200", 1)},
		{name: "type in another case", answer: strings.Replace(ok(body), "octet", "OCTET", 1)},
		{name: "identity", answer: ok(body, "Content-Encoding: identity")},
		{name: "chunked", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n" + chunks(body)},
		{
			name:   "chunked with extensions and trailers",
			answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n" + strings.TrimSuffix(strings.ReplaceAll(chunks(body), "1\r\n", "1;a=b\r\n"), "\r\n") + "Sum: 1\r\n\r\n",
		},
		{name: "interim", answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 3) + "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(body)},
		{name: "gzip", answer: ok(compressed(t, body, gzipped), "Content-Encoding: gzip")},
		{name: "deflate", answer: ok(compressed(t, body, zlibbed), "Content-Encoding: deflate")},
		{name: "deflate, bare", answer: ok(compressed(t, body, deflated), "Content-Encoding: Deflate")},
		{
			name:   "gzip, chunked",
			answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(compressed(t, body, gzipped)),
		},
		{name: "until the end", answer: "HTTP/1.1 200 OK\r\n" + octet + "\r\n" + string(body), closed: true},
		{name: "HTTP/1.0", answer: strings.Replace(ok(body), "HTTP/1.1", "HTTP/1.0", 1), closed: true},
		{name: "connection close", answer: ok(body, "Connection: close"), closed: true, open: true},
		{name: "two answers", answer: ok(body) + ok(echoBytes(mustAppend(t, "another"))), closed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newRawServer(t, "tcp", func(n int, c *rawConn) {
				if n == 0 && c.request() != nil {
					err := c.write(tt.answer)
					if tt.open {
						c.closed()
					}
					if err != nil || tt.closed {
						return
					}
				}
				c.echoAll()
			})
			h := newHTTP(t, HTTPConfig{URL: s.url(), PayloadMax: answerMax})
			ask(h, "hello", ample).echoed(t)
			ask(h, "again", ample).echoed(t)
			shut(t, h)
			want := 1
			if tt.closed {
				want = 2
			}
			if got := s.connections(); got != want {
				t.Errorf("%d connections, want %d", got, want)
			}
		})
	}
}

// A reply without bytes is one without effects, as in StateFun.
func TestAnswerWithoutEffects(t *testing.T) {
	for _, answer := range []string{ok(nil), "HTTP/1.1 204 No Content\r\n" + octet + "\r\n"} {
		s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
			for c.request() != nil && c.write(answer) == nil {
			}
		})
		h := newHTTP(t, HTTPConfig{URL: s.url()})
		a := ask(h, "hello", ample)
		for range 2 {
			if _, err := a.answer(t); err != nil || len(a.r.Reply.Messages) > 0 {
				t.Fatalf("%v, %v; want nothing", a.r.Reply, err)
			}
			a.again(h)
		}
		_, _ = a.answer(t)
		shut(t, h)
		if s.connections() != 1 {
			t.Errorf("%d connections, want 1", s.connections())
		}
	}
}

// What is no success is told with its reason, and neither brings down the next request nor gives away what
// is secret in the URL.
func TestAnswerOfFailure(t *testing.T) {
	body := echoBytes(mustAppend(t, "hello"))
	soonAt := time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	status := func(line string, headers ...string) string {
		return "HTTP/1.1 " + line + "\r\nContent-Length: 0\r\n" + lines(headers) + "\r\n"
	}
	tests := []struct {
		name, answer string
		reason       remote.Reason
		status       int
		text         string
		stays        bool // The connection can be used again.
		open         bool // The server leaves the connection open.
	}{
		{name: "301", answer: status("301 Moved", "Location: http://127.0.0.1:1/"), reason: remote.Refused, status: 301, stays: true},
		{name: "307", answer: status("307 Temporary", "Location: http://127.0.0.1:1/"), reason: remote.Refused, status: 307, stays: true},
		{name: "304", answer: "HTTP/1.1 304 Not Modified\r\n\r\n", reason: remote.Refused, status: 304},
		{name: "400", answer: status("400 Bad"), reason: remote.Refused, status: 400, stays: true},
		{name: "404 with a body", answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nlost", reason: remote.Refused, status: 404, stays: true},
		{name: "415", answer: status("415 Type"), reason: remote.Refused, status: 415, stays: true},
		{name: "500 in chunks", answer: "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body), reason: remote.Refused, status: 500},
		{name: "500 without an end", answer: "HTTP/1.1 500 Oops\r\nContent-Length: 1000000\r\n\r\noops", reason: remote.Refused, status: 500, open: true},
		{name: "503 and close", answer: status("503 Bye", "Connection: close"), reason: remote.Refused, status: 503, open: true},
		{name: "599", answer: status("599 ?"), reason: remote.Refused, status: 599, stays: true},
		{name: "101", answer: "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", reason: remote.Refused, status: 101, open: true},
		{name: "nothing but interim", answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), reason: remote.Refused, open: true},
		{name: "something else", answer: "SSH-2.0-OpenSSH_9.9\r\n", reason: remote.Refused, open: true},
		{name: "bytes", answer: "\x16\x03\x01\x00\xff\r\n\r\n", reason: remote.Refused, open: true},
		{name: "endless head", answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), reason: remote.Refused, open: true},
		{name: "two lengths", answer: strings.Replace(ok(body), octet, octet+"Content-Length: 1\r\n", 1), reason: remote.Refused, open: true},
		{name: "negative length", answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Length: -1\r\n\r\n", reason: remote.Refused, open: true},

		{name: "closed", answer: "", reason: remote.Unreachable, text: "waiting for the answer"},
		{name: "closed in the head", answer: "HTTP/1.1 200 OK\r\nContent-Ty", reason: remote.Unreachable},
		{name: "closed in the body", answer: ok(body)[:len(ok(body))-1], reason: remote.Unreachable, text: "reading the answer"},
		{name: "closed in a chunk", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", reason: remote.Unreachable},
		{name: "closed between chunks", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", reason: remote.Unreachable},
		{name: "closed before a body without length", answer: "HTTP/1.1 200 OK\r\n" + octet + "\r\n", reason: remote.Unreachable},
		{name: "closed in gzip without length", answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Encoding: gzip\r\n\r\n" + string(compressed(t, body, gzipped)[:20]), reason: remote.Unreachable},

		{name: "no type", answer: strings.Replace(ok(body), octet, "", 1), reason: remote.Broken, status: 200, text: "content type"},
		{name: "type with parameter", answer: strings.Replace(ok(body), "stream", "stream; charset=x", 1), reason: remote.Broken, status: 200, text: "content type"},
		{name: "another type", answer: strings.Replace(ok(body), "application/octet-stream", "text/html", 1), reason: remote.Broken, status: 200, text: "content type"},
		{name: "no reply", answer: ok([]byte("what?")), reason: remote.Broken, status: 200},
		{name: "half a reply", answer: ok(body[:len(body)-1]), reason: remote.Broken, status: 200},
		{name: "broken chunks", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", reason: remote.Broken, status: 200, open: true},
		{name: "no gzip", answer: ok(body, "Content-Encoding: gzip"), reason: remote.Broken, status: 200},
		{name: "half a gzip", answer: ok(compressed(t, body, gzipped)[:20], "Content-Encoding: gzip"), reason: remote.Broken, status: 200},
		{name: "no deflate", answer: ok([]byte("\xff\xff\xff"), "Content-Encoding: deflate"), reason: remote.Broken, status: 200},
		{name: "deflate of nothing", answer: ok(nil, "Content-Encoding: deflate"), reason: remote.Broken, status: 200},
		{name: "what was not asked for", answer: ok(body, "Content-Encoding: br"), reason: remote.Broken, status: 200, text: "encoding"},

		{name: "too long, by its word", answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Length: 65537\r\n\r\n", reason: remote.TooLarge, status: 200, open: true},
		{name: "far too long, by its word", answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Length: 9223372036854775807\r\n\r\n", reason: remote.TooLarge, status: 200, open: true},
		{name: "a chunk that is too long", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n7fffffffffffff\r\n" + strings.Repeat("x", answerMax+1), reason: remote.TooLarge, status: 200, open: true},
		{name: "too long in chunks", answer: "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n" + chunks(make([]byte, answerMax+1)), reason: remote.TooLarge, status: 200, open: true},
		{name: "too long without length", answer: "HTTP/1.1 200 OK\r\n" + octet + "\r\n" + strings.Repeat("x", answerMax+1), reason: remote.TooLarge, status: 200, open: true},
		{name: "gzip bomb", answer: ok(compressed(t, make([]byte, 16<<20), gzipped), "Content-Encoding: gzip"), reason: remote.TooLarge, status: 200},
		{name: "deflate bomb", answer: ok(compressed(t, make([]byte, 16<<20), zlibbed), "Content-Encoding: deflate"), reason: remote.TooLarge, status: 200},
		{
			name: "gzip of nothing, on and on", reason: remote.TooLarge, status: 200, open: true,
			answer: "HTTP/1.1 200 OK\r\n" + octet + "Content-Encoding: gzip\r\n\r\n" + strings.Repeat(string(compressed(t, nil, gzipped)), 1+answerMax/20),
		},

		{name: "later, in seconds", answer: status("503 Later", "Retry-After: 7"), reason: remote.Refused, status: 503, stays: true},
		{name: "later, at a date", answer: status("429 Later", "Retry-After: "+soonAt), reason: remote.Refused, status: 429, stays: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newRawServer(t, "tcp", func(n int, c *rawConn) {
				if n == 0 && c.request() != nil {
					err := c.write(tt.answer)
					if tt.open && err == nil {
						c.closed()
					}
					if !tt.stays {
						return
					}
				}
				c.echoAll()
			})
			url := strings.Replace(s.url(), "http://", "http://user:secret@", 1) + "?key=secret"
			h := newHTTP(t, HTTPConfig{URL: url, PayloadMax: answerMax})
			e := ask(h, "hello", ample).failed(t, tt.reason, tt.text)
			if e.Status != tt.status {
				t.Errorf("status %d, want %d", e.Status, tt.status)
			}
			if want := s.url(); e.Endpoint != want || strings.Contains(e.Error(), "secret") {
				t.Errorf("%v: want it to say %s and no secret", e, want)
			}
			later := strings.HasPrefix(tt.name, "later")
			if later != (e.RetryAfter > 0) || e.RetryAfter > time.Hour {
				t.Errorf("retry after %v", e.RetryAfter)
			}
			ask(h, "again", ample).echoed(t)
			shut(t, h)
			want := 2
			if tt.stays {
				want = 1
			}
			if got := s.connections(); got != want {
				t.Errorf("%d connections, want %d", got, want)
			}
		})
	}
}

func chunks(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(len(b), 17)
		fmt.Fprintf(&s, "%x\r\n%s\r\n", n, b[:n])
		b = b[n:]
	}
	return s.String() + "0\r\n\r\n"
}

// mustAppend is the request that ask sends.
func mustAppend(t testing.TB, text string) []byte {
	t.Helper()
	b, err := AppendRequest(nil, ask(nothing{}, text, 0).r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nothing is an invoker that does nothing.
type nothing struct{ remote.Invoker }

func (nothing) Invoke(*remote.Request) {}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		in   string
		want time.Duration
	}{
		{"", 0},
		{"0", 0},
		{"120", 2 * time.Minute},
		{"2147483647", 2147483647 * time.Second},
		{"2147483648", 0},
		{"-1", 0},
		{"1.5", 0},
		{"soon", 0},
		{"Sat, 21 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"Saturday, 21-Nov-26 12:00:30 GMT", 30 * time.Second},
		{"Sat Nov 21 12:00:30 2026", 30 * time.Second},
		{"Sat, 21 Nov 2026 11:00:00 GMT", 0},
	}
	for _, tt := range tests {
		if got := parseRetryAfter(tt.in, now); got != tt.want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

// Whatever a server says, it is left alone for no negative time.
func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"", "7", "99999999999999999999", "Sat, 21 Nov 2026 12:00:30 GMT", "Sat Nov 21 12:00:30 9999", "-7"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := parseRetryAfter(s, now); d < 0 {
			t.Errorf("parseRetryAfter(%q) = %v", s, d)
		}
	})
}
