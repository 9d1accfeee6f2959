// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

const stringType = "io.statefun.types/string"

func wrapped(t testing.TB, text string) string {
	t.Helper()
	b, err := statefun.String.Append(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What is accepted reaches the engine byte for byte.
func TestIngressAccepts(t *testing.T) {
	cart := address("shop", "cart", "7")
	large := strings.Repeat("x", 200_000)
	tests := []struct {
		name, request string
		want          received
	}{
		{"post", post("/shop/cart/7", "v"), received{by: "send", to: cart, typename: "t/v", value: "v"}},
		{
			"put", request("PUT", "/shop/cart/7", "application/vnd.t/v", "v"),
			received{by: "send", to: cart, typename: "t/v", value: "v"},
		},
		{"empty value", post("/shop/cart/7", ""), received{by: "send", to: cart, typename: "t/v"}},
		{"large value", post("/shop/cart/7", large), received{by: "send", to: cart, typename: "t/v", value: large}},
		{
			"no body at all", "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.t/v\r\n\r\n",
			received{by: "send", to: cart, typename: "t/v"},
		},
		{
			"HTTP/1.0", "POST /shop/cart/7 HTTP/1.0\r\nContent-Type: application/vnd.t/v\r\nContent-Length: 1\r\n\r\nv",
			received{by: "send", to: cart, typename: "t/v", value: "v"},
		},
		{
			"chunks", "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.t/v\r\n" +
				"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\na\r\n\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n",
			received{by: "send", to: cart, typename: "t/v", value: "a\r\nbc"},
		},
		{
			"expect", request("POST", "/shop/cart/7", "application/vnd.t/v", "v", "Expect: 200-ok"),
			received{by: "send", to: cart, typename: "t/v", value: "v"},
		},
		{
			"media type in capitals, with a parameter", request("POST", "/shop/cart/7", "Application/VND.t/V;x=y", "v"),
			received{by: "send", to: cart, typename: "t/V", value: "v"},
		},
		{
			"typename with slashes", request("POST", "/shop/cart/7", "application/vnd.com.acme/shop/Order ", "v"),
			received{by: "send", to: cart, typename: "com.acme/shop/Order", value: "v"},
		},
		{
			"text", request("POST", "/shop/cart/7", "text/plain", "zażółć"),
			received{by: "send", to: cart, typename: stringType, value: wrapped(t, "zażółć")},
		},
		{
			"text with a charset", request("POST", "/shop/cart/7", "text/plain; charset=UTF-8", "a"),
			received{by: "send", to: cart, typename: stringType, value: wrapped(t, "a")},
		},
		{
			"empty text", request("POST", "/shop/cart/7", "text/plain", ""),
			received{by: "send", to: cart, typename: stringType},
		},
		{
			"JSON", request("POST", "/shop/cart/7", "application/json", `{"a":1}`, "millrace-typename: shop/Order"),
			received{by: "send", to: cart, typename: "shop/Order", value: `{"a":1}`},
		},
		{
			"multipart is a typename like others", request("POST", "/shop/cart/7",
				"application/vnd.multipart/form-data; boundary=x", "--x--"),
			received{by: "send", to: cart, typename: "multipart/form-data", value: "--x--"},
		},
		{
			"binary id", post("/a%2Fb/c/%00%0D%0A%FF", "v"),
			received{by: "send", to: address("a/b", "c", "\x00\r\n\xff"), typename: "t/v", value: "v"},
		},
		{
			"longest id, all escaped", post("/shop/cart/"+strings.Repeat("%0A", statefun.IDBytesMax), "v"),
			received{
				by: "send", to: address("shop", "cart", strings.Repeat("\n", statefun.IDBytesMax)),
				typename: "t/v", value: "v",
			},
		},
		{"route", post("/ingress", "v"), received{by: "shop.io/http", typename: "t/v", value: "v"}},
		{
			"route with a key", request("PUT", "/ingress", "text/plain", "a", "Millrace-Key: k 1"),
			received{by: "shop.io/http", key: "k 1", typename: stringType, value: wrapped(t, "a")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{}
			in := open(t, IngressConfig{ID: "shop.io/http"}, e)
			resp, body := ask(t, in, tt.request)
			if resp.StatusCode != 202 || body != "" {
				t.Fatalf("status %d with %q, want 202 and nothing", resp.StatusCode, body)
			}
			if got := e.received(); len(got) != 1 || got[0] != tt.want {
				t.Errorf("received %.300q, want %.300q", fmt.Sprint(got), fmt.Sprint(tt.want))
			}
			if s := resp.Header.Get("Server"); s != "" {
				t.Errorf("Server: %s, want none", s)
			}
		})
	}
}

// A call's answer has its type and its bytes; text loses the wrapping that it was given on the way in.
func TestIngressAnswersCalls(t *testing.T) {
	tests := []struct {
		name              string
		answer            statefun.TypedValue
		contentType, body string
	}{
		{"bytes", statefun.TypedValue{Typename: "a/B", Value: []byte("\x00\xff")}, "application/vnd.a/B", "\x00\xff"},
		{"no bytes", statefun.TypedValue{Typename: "a/B"}, "application/vnd.a/B", ""},
		{
			"text",
			statefun.TypedValue{Typename: stringType, Value: []byte(wrapped(t, "Grüße"))},
			"text/plain; charset=utf-8", "Grüße",
		},
		{"empty text", statefun.TypedValue{Typename: stringType}, "text/plain; charset=utf-8", ""},
		{
			"a string that is none",
			statefun.TypedValue{Typename: stringType, Value: []byte{0xff}},
			"application/vnd." + stringType, "\xff",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{onCall: func(context.Context) (statefun.TypedValue, error) { return tt.answer, nil }}
			in := open(t, IngressConfig{}, e)
			resp, body := ask(t, in, post("/call/shop/cart/7", "v"))
			if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != tt.contentType || body != tt.body {
				t.Errorf("status %d, %q, %q; want 200, %q, %q", resp.StatusCode, ct, body, tt.contentType, tt.body)
			}
			want := received{by: "call of io.millrace.http/caller", to: address("shop", "cart", "7"), typename: "t/v", value: "v"}
			if got := e.received(); len(got) != 1 || got[0] != want {
				t.Errorf("received %v, want %v", got, want)
			}
		})
	}
}

// What is refused is refused in the agreed form and never reaches the engine.
func TestIngressRefuses(t *testing.T) {
	const most = 100
	vnd := "application/vnd.t/v"
	head := "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nContent-Type: " + vnd + "\r\n"
	tests := []struct {
		name, request string
		status        int
		code          string
		closes        bool // The connection, because the rest of the request may follow.
	}{
		{name: "root", request: request("GET", "/", "", ""), status: 400, code: "bad_path"},
		{name: "no id", request: post("/shop/cart", "v"), status: 400, code: "bad_path", closes: true},
		{name: "empty id", request: post("/shop/cart/", "v"), status: 400, code: "bad_path", closes: true},
		{name: "bad escape", request: post("/shop/cart/%zz", "v"), status: 400, code: "bad_path", closes: true},
		{name: "query", request: post("/shop/cart/7?a", "v"), status: 400, code: "bad_path", closes: true},
		{name: "get", request: request("GET", "/shop/cart/7", "", ""), status: 405, code: "method_not_allowed"},
		{
			name: "delete", request: request("DELETE", "/ingress", vnd, ""),
			status: 405, code: "method_not_allowed",
		},
		{
			name: "put a call", request: request("PUT", "/call/shop/cart/7", vnd, "v"),
			status: 405, code: "method_not_allowed", closes: true,
		},
		{
			name: "other method", request: request("BREW", "/shop/cart/7", vnd, "v"),
			status: 405, code: "method_not_allowed", closes: true,
		},
		{
			name: "no content type", request: request("POST", "/shop/cart/7", "", "v"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "other content type", request: request("POST", "/shop/cart/7", "text/html", "v"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "typename without slash", request: request("POST", "/shop/cart/7", "application/vnd.v", "v"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "no typename", request: request("POST", "/shop/cart/7", "application/vnd.", "v"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "JSON without typename", request: request("POST", "/shop/cart/7", "application/json", "{}"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name:    "JSON with a bad typename",
			request: request("POST", "/shop/cart/7", "application/json", "{}", "Millrace-Typename: v"),
			status:  415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "compressed", request: request("POST", "/shop/cart/7", vnd, "v", "Content-Encoding: gzip"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "text in Latin 1", request: request("POST", "/shop/cart/7", "text/plain; charset=latin1", "v"),
			status: 415, code: "unsupported_content_type", closes: true,
		},
		{
			name: "text that is not UTF-8", request: request("POST", "/shop/cart/7", "text/plain", "\xff"),
			status: 400, code: "bad_request",
		},
		{name: "unbound ingress", request: post("/ingress", "v"), status: 404, code: "unknown_ingress", closes: true},
		{
			name: "body one over the limit", request: post("/shop/cart/7", strings.Repeat("v", most+1)),
			status: 413, code: "body_too_large", closes: true,
		},
		{
			name: "announced body over the limit", request: head + "Content-Length: 99999999999\r\n\r\nv",
			status: 413, code: "body_too_large", closes: true,
		},
		{
			name: "body in chunks over the limit",
			request: head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("32\r\n"+strings.Repeat("v", 50)+"\r\n", 3) +
				"0\r\n\r\n",
			status: 413, code: "body_too_large", closes: true,
		},
		{
			name: "announced chunk over every limit", request: head + "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nv",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "head too large", request: head + "X: " + strings.Repeat("x", server.HeadBytesMax) + "\r\n\r\n",
			status: 431, code: "header_too_large", closes: true,
		},
		{name: "not HTTP", request: "\x16\x03\x01\x02\x00\x01\r\n\r\n", status: 400, code: "bad_request", closes: true},
		{
			name: "HTTP/2", request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			status: 505, code: "version_not_supported", closes: true,
		},
		{
			name: "HTTP/2 by upgrade", request: request("GET", "/shop/cart/7", "", "", "Connection: Upgrade", "Upgrade: h2c"),
			status: 405, code: "method_not_allowed",
		},
		{
			name: "no Host", request: "POST /shop/cart/7 HTTP/1.1\r\nContent-Type: " + vnd + "\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{name: "two Hosts", request: head + "Host: i\r\n\r\n", status: 400, code: "bad_request", closes: true},
		{
			name: "bad Host", request: "POST /shop/cart/7 HTTP/1.1\r\nHost: [::1\r\nContent-Type: " + vnd + "\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "zero in a header", request: head + "X: a\x00b\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "space before the colon", request: head + "Content-Length : 1\r\n\r\nv",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "length and chunks", request: head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "chunks and length", request: head + "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "identity and length", request: head + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nv",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "identity", request: head + "Transfer-Encoding: identity\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "two encodings", request: head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "encoding twice", request: head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "two lengths", request: head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nvv",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "negative length", request: head + "Content-Length: -1\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "length with a plus", request: head + "Content-Length: +1\r\n\r\nv",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "chunk without a size", request: head + "Transfer-Encoding: chunked\r\n\r\n\r\nv\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
		{
			name: "chunk longer than it says", request: head + "Transfer-Encoding: chunked\r\n\r\n1\r\nvv\r\n0\r\n\r\n",
			status: 400, code: "bad_request", closes: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{}
			in := open(t, IngressConfig{MaxBodyBytes: most}, e)
			resp, body := ask(t, in, tt.request)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d with %q, want %d", resp.StatusCode, body, tt.status)
			}
			if code := errorCode(t, resp, body); code != tt.code {
				t.Errorf("code %q in %q, want %q", code, body, tt.code)
			}
			if allow := resp.Header.Get("Allow"); (tt.status == 405) != (allow != "") {
				t.Errorf("Allow = %q with status %d", allow, tt.status)
			}
			if resp.Close != tt.closes {
				t.Errorf("Connection: close = %t, want %t", resp.Close, tt.closes)
			}
			if got := e.received(); len(got) != 0 {
				t.Errorf("the engine received %v", got)
			}
		})
	}
}

// The response to HEAD has no body, so that the next request on the connection finds its own response.
func TestHeadIsNotAllowed(t *testing.T) {
	in := open(t, IngressConfig{}, &entry{})
	c := dial(t, in)
	if _, err := io.WriteString(c, "HEAD /shop/cart/7 HTTP/1.1\r\nHost: h\r\n\r\n"+post("/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := nethttp.ReadResponse(r, &nethttp.Request{Method: "HEAD"})
	if err != nil || resp.StatusCode != 405 || resp.Header.Get("Allow") != "PUT, POST" {
		t.Errorf("%v, %v; want 405 with Allow: PUT, POST", resp, err)
	}
	if resp, body := readAnswer(t, r); resp.StatusCode != 202 {
		t.Errorf("status %d with %q behind it, want 202", resp.StatusCode, body)
	}
}

// 415 is where users learn how to say what they send.
func TestUnsupportedContentTypeNamesTheWays(t *testing.T) {
	in := open(t, IngressConfig{}, &entry{})
	_, body := ask(t, in, request("POST", "/shop/cart/7", "text/html", "v"))
	for _, way := range []string{"application/vnd.<typename>", "text/plain", "application/json", "Millrace-Typename"} {
		if !strings.Contains(body, way) {
			t.Errorf("%q does not name %s", body, way)
		}
	}
}

// A body of exactly the limit is taken; one more byte is not (TestIngressRefuses).
func TestIngressTakesTheLargestBody(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		e := &entry{}
		in := open(t, IngressConfig{MaxBodyBytes: 100}, e)
		body := strings.Repeat("v", 100)
		req := post("/shop/cart/7", body)
		if chunked {
			req = strings.Replace(post("/shop/cart/7", ""), "Content-Length: 0", "Transfer-Encoding: chunked", 1) +
				"64\r\n" + body + "\r\n0\r\n\r\n"
		}
		if resp, answer := ask(t, in, req); resp.StatusCode != 202 {
			t.Errorf("chunked %t: status %d with %q, want 202", chunked, resp.StatusCode, answer)
		}
		if got := e.received(); len(got) != 1 || got[0].value != body {
			t.Errorf("chunked %t: received %v", chunked, got)
		}
	}
}

// What the engine refuses becomes a status that tells the client what to do.
func TestIngressPassesOnWhatTheEngineRefuses(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{connector.ErrUnknownFunction, 404, "unknown_function_type"},
		{connector.ErrUnknownIngress, 404, "unknown_ingress"},
		{connector.ErrUnknownMessage, 415, "message_type_not_accepted"},
		{connector.ErrMalformed, 400, "malformed"},
		{connector.ErrTooLarge, 413, "too_large"},
		{connector.ErrNoCredit, 503, "out_of_credit"},
		{connector.ErrSuspended, 503, "suspended"},
		{connector.ErrClosing, 503, "closing"},
		{errors.New("anything else"), 500, "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			fail := func() error { return fmt.Errorf("engine: %w", tt.err) }
			e := &entry{
				onSend: fail, onRoute: fail,
				onCall: func(context.Context) (statefun.TypedValue, error) { return statefun.TypedValue{}, fail() },
			}
			in := open(t, IngressConfig{ID: "shop.io/http"}, e)
			for _, path := range []string{"/shop/cart/7", "/call/shop/cart/7", "/ingress"} {
				resp, body := ask(t, in, post(path, "v"))
				if code := errorCode(t, resp, body); resp.StatusCode != tt.status || code != tt.code {
					t.Errorf("%s: %d %s, want %d %s", path, resp.StatusCode, code, tt.status, tt.code)
				}
				if after := resp.Header.Get("Retry-After"); (after != "") != (tt.status == 503) {
					t.Errorf("%s: Retry-After = %q with status %d", path, after, tt.status)
				}
				if resp.Close {
					t.Errorf("%s: the connection is closed; the request was whole and the next may follow", path)
				}
			}
		})
	}
}

// What is malformed is called so by the code, and not again by each layer that the text has come through.
func TestMalformedIsSaidOnce(t *testing.T) {
	for text, want := range map[string]string{
		"malformed":                                   "malformed",
		"malformed: empty id":                         "empty id",
		"malformed: malformed: empty id":              "empty id",
		"ingress a/b: malformed: malformed: empty id": "ingress a/b: malformed: empty id",
	} {
		in := open(t, IngressConfig{}, &entry{onSend: func() error { return refused(text) }})
		_, body := ask(t, in, post("/shop/cart/7", "v"))
		if !strings.Contains(body, `"message":"`+want+`"`) {
			t.Errorf("%s: %s", text, body)
		}
	}
}

// refused is a text that is an error about something malformed.
type refused string

func (r refused) Error() string { return string(r) }
func (refused) Unwrap() error   { return connector.ErrMalformed }

func TestCallTimeout(t *testing.T) {
	e := &entry{onCall: func(ctx context.Context) (statefun.TypedValue, error) {
		<-ctx.Done()
		return statefun.TypedValue{}, ctx.Err()
	}}
	in := open(t, IngressConfig{CallTimeout: 20 * time.Millisecond}, e)
	resp, body := ask(t, in, post("/call/shop/cart/7", "v"))
	if code := errorCode(t, resp, body); resp.StatusCode != 504 || code != "call_timeout" {
		t.Errorf("%d %s, want 504 call_timeout", resp.StatusCode, code)
	}
}

// H11: an id can hold anything, and none of it may forge a line or move a cursor in an answer or a log.
func TestNothingFromOutsideIsShownRaw(t *testing.T) {
	const canary = "\r\nCANARY: 1\x1b[2J\u009b31m\u2028"
	escaped := "%0D%0ACANARY%3A%201%1B%5B2J%C2%9B31m%E2%80%A8"
	for _, refusal := range []error{connector.ErrUnknownFunction, connector.ErrMalformed, errors.New("unforeseen")} {
		var log bytes.Buffer
		e := &entry{onSend: func() error { return fmt.Errorf("address %s: %w", canary, refusal) }}
		in := open(t, IngressConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}, e)
		resp, body := ask(t, in, post("/"+escaped+"/"+escaped+"/"+escaped, "secret payload"))
		errorCode(t, resp, body)
		if resp.Header.Get("Canary") != "" {
			t.Errorf("%v: an id became a header: %v", refusal, resp.Header)
		}
		body = strings.TrimSuffix(body, "\n")
		for _, shown := range []string{body, strings.TrimSuffix(log.String(), "\n")} {
			if strings.ContainsAny(shown, "\r\n\x1b\u009b\u2028") {
				t.Errorf("%v: shown as it came: %q", refusal, shown)
			}
			if strings.Contains(shown, "secret payload") {
				t.Errorf("%v: the payload is shown: %q", refusal, shown)
			}
		}
	}
}

// H8: whatever else the process serves, it does not serve it here.
func TestNothingElseIsServed(t *testing.T) {
	in := open(t, IngressConfig{}, &entry{})
	for _, path := range []string{
		"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/healthz", "/readyz", "/favicon.ico",
	} {
		resp, body := ask(t, in, request("GET", path, "", ""))
		if resp.StatusCode != 400 && resp.StatusCode != 405 {
			t.Errorf("GET %s: %d with %q", path, resp.StatusCode, body)
		}
	}
}
