// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// impatient is an ingress that waits for nobody.
func impatient() IngressConfig {
	return IngressConfig{
		ReadTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond,
		WriteTimeout: 5 * time.Second, MaxBodyBytes: 1 << 20,
	}
}

const chunkedHead = "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.t/v\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n"

// drip writes s a byte at a time, over and over, until the other side has had enough. It returns what was
// answered.
func drip(t *testing.T, in *Ingress, first, s string) string {
	t.Helper()
	c := dial(t, in)
	if _, err := io.WriteString(c, first); err != nil {
		t.Fatal(err)
	}
	go func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			<-pace.C
			if _, err := c.Write([]byte{s[i%len(s)]}); err != nil {
				return
			}
		}
	}()
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection was never closed")
	}
	return string(answer) // A reset is as good an end as any for this client.
}

// H1: a request that comes drop by drop is cut off at ReadTimeout, whichever part of it drips.
func TestSlowRequestsAreCutOff(t *testing.T) {
	tests := []struct{ name, first, drips string }{
		{"request line", "", "POST /shop/"},
		{"headers", "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\n", "X: y\r\n"},
		{"body", strings.Replace(post("/shop/cart/7", ""), "Length: 0", "Length: 1000000", 1), "v"},
		{"chunks", chunkedHead, "1\r\nv\r\n"},
		{"chunk extension", chunkedHead + "1;", "x"},
		{"trailer", chunkedHead + "0\r\n", "X: y\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := &entry{}
			in := open(t, impatient(), e)
			answer := drip(t, in, tt.first, tt.drips)
			if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 4") {
				t.Errorf("answered %q", answer)
			}
			if got := e.received(); len(got) != 0 {
				t.Errorf("the engine received %v", got)
			}
		})
	}
}

// H1: the deadline is that of the whole request, and what is left unread is said to be too late.
func TestStalledRequestsAreAnswered(t *testing.T) {
	for name, req := range map[string]string{
		"in the head":   "POST /shop/cart/7 HTTP/1.1\r\n",
		"in the body":   strings.Replace(post("/shop/cart/7", ""), "Length: 0", "Length: 2", 1) + "v",
		"in the chunks": chunkedHead + "5\r\nv",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := open(t, impatient(), &entry{})
			resp, body := ask(t, in, req)
			if code := errorCode(t, resp, body); resp.StatusCode != 408 || code != "request_timeout" || !resp.Close {
				t.Errorf("%d %s, close %t; want 408 request_timeout and close", resp.StatusCode, code, resp.Close)
			}
		})
	}
}

// H1: connections that say nothing are closed, before their first request and between two.
func TestIdleConnectionsAreClosed(t *testing.T) {
	in := open(t, impatient(), &entry{})
	silent, between := dial(t, in), dial(t, in)
	r := bufio.NewReader(between)
	if _, err := io.WriteString(between, post("/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	if resp, body := readAnswer(t, r); resp.StatusCode != 202 {
		t.Fatalf("status %d with %q", resp.StatusCode, body)
	}
	for name, r := range map[string]io.Reader{"silent": silent, "between requests": r} {
		if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
			t.Errorf("%s: read %q, %v; want the end", name, b, err)
		}
	}
}

// The client that stops in the middle of a body has not sent a shorter one.
func TestTruncatedBodiesAreRefused(t *testing.T) {
	for name, req := range map[string]string{
		"length":             strings.Replace(post("/shop/cart/7", ""), "Length: 0", "Length: 3", 1) + "vv",
		"chunks":             chunkedHead + "2\r\nvv\r\n",
		"inside a chunk":     chunkedHead + "3\r\nvv",
		"without the end":    chunkedHead + "2\r\nvv\r\n0\r\n",
		"nothing but a head": chunkedHead,
	} {
		t.Run(name, func(t *testing.T) {
			e := &entry{}
			in := open(t, IngressConfig{}, e)
			c := dial(t, in).(*net.TCPConn)
			if _, err := io.WriteString(c, req); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp, body := readAnswer(t, bufio.NewReader(c))
			if code := errorCode(t, resp, body); resp.StatusCode != 400 || code != "bad_request" {
				t.Errorf("%d %s, want 400 bad_request", resp.StatusCode, code)
			}
			if got := e.received(); len(got) != 0 {
				t.Errorf("the engine received %v", got)
			}
		})
	}
}

// A client that says at once that this was all gets its answer nevertheless.
func TestHalfClosedConnectionsAreAnswered(t *testing.T) {
	for name, req := range map[string]string{"length": post("/shop/cart/7", "v"), "chunks": chunkedHead + "1\r\nv\r\n0\r\n\r\n"} {
		in := open(t, IngressConfig{}, &entry{})
		c := dial(t, in).(*net.TCPConn)
		if _, err := io.WriteString(c, req); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if resp, body := readAnswer(t, bufio.NewReader(c)); resp.StatusCode != 202 {
			t.Errorf("%s: status %d with %q, want 202", name, resp.StatusCode, body)
		}
	}
}

// A refusal that comes before the whole request was read ends the connection without a reset, which could
// overtake the refusal.
func TestRefusalsEndWithoutAReset(t *testing.T) {
	in := open(t, IngressConfig{}, &entry{})
	c := dial(t, in)
	if _, err := io.WriteString(c, post("/nowhere", strings.Repeat("v", 200_000))); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, body := readAnswer(t, r)
	if errorCode(t, resp, body); resp.StatusCode != 400 {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil {
		t.Errorf("%q, %v behind it; want the end", b, err)
	}
}

// H2: what never ends is ended, and the client gets to read why although it is still sending.
func TestEndlessRequestsAreRefused(t *testing.T) {
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 4096, strings.Repeat("v", 4096))
	tests := []struct {
		name, first, then string
		status            int
		code              string
	}{
		{"chunks", chunkedHead, chunk, 413, "body_too_large"},
		{
			"length", strings.Replace(post("/shop/cart/7", ""), "Length: 0", "Length: 1000000000000", 1), chunk,
			413, "body_too_large",
		},
		{"headers", "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\n", "X-Y: z\r\n", 431, "header_too_large"},
		{"one header", "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nX: ", "yyyyyyyyyyyyyyyy", 431, "header_too_large"},
		{"path", "POST /", "xxxxxxxxxxxxxxxx", 431, "header_too_large"},
		{"path and unread body", strings.Replace(post("/x", ""), "Length: 0", "Length: 1000000", 1), "v", 400, "bad_path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{}
			in := open(t, IngressConfig{}, e)
			c := dial(t, in)
			go func() {
				_, _ = io.WriteString(c, tt.first)
				// 100,000 times at least, in writes of a decent size.
				for range 100 {
					if _, err := io.WriteString(c, strings.Repeat(tt.then, 1000)); err != nil {
						return
					}
				}
			}()
			resp, body := readAnswer(t, bufio.NewReader(c))
			if code := errorCode(t, resp, body); resp.StatusCode != tt.status || code != tt.code {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, code, tt.status, tt.code)
			}
			if got := e.received(); len(got) != 0 {
				t.Errorf("the engine received %v", got)
			}
		})
	}
}

// H2: memory follows what clients send, not what they announce.
func TestAnnouncedBodiesCostNothing(t *testing.T) {
	const clients, announced = 200, 8 << 20
	in := open(t, IngressConfig{MaxBodyBytes: announced}, &entry{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range clients {
		c := dial(t, in)
		head, body := strings.Replace(chunkedHead, "Transfer-Encoding: chunked", fmt.Sprintf("Content-Length: %d", announced), 1), "v"
		if i%2 == 0 {
			head, body = chunkedHead, fmt.Sprintf("%x\r\nv", announced)
		}
		if _, err := io.WriteString(c, strings.Replace(head, "Host", "Expect: 100-continue\r\nHost", 1)); err != nil {
			t.Fatal(err)
		}
		// The server says so when it begins to wait for the body.
		if resp, _ := readAnswer(t, bufio.NewReader(c)); resp.StatusCode != 100 {
			t.Fatalf("status %d, want 100", resp.StatusCode)
		}
		if _, err := io.WriteString(c, body); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*announced/10 {
		t.Errorf("the heap grew by %d bytes for %d announced", grown, clients*announced)
	}
}

// H3: what a proxy might take for a body is never taken for a request.
func TestSmuggledRequestsAreNotServed(t *testing.T) {
	smuggled := post("/smuggled/x/x", "v")
	head := "POST /shop/cart/7 HTTP/1.1\r\nHost: h\r\nContent-Type: application/vnd.t/v\r\n"
	for name, req := range map[string]string{
		"CL.TE":           head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(smuggled)),
		"TE.CL":           head + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		"TE obfuscated":   head + "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n",
		"TE with a tab":   head + "Transfer-Encoding:\tchunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		"TE by folding":   head + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		"TE with space":   head + "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		"TE by bare LF":   head + "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		"TE identity":     head + "Transfer-Encoding: identity\r\n\r\n",
		"CL twice":        head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"CL list":         head + "Content-Length: 0, 5\r\n\r\n",
		"TE in HTTP/1.0":  strings.Replace(head, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"refused, unread": "POST /nowhere HTTP/1.1\r\nHost: h\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)),
		"get with a body": "GET /shop/cart/7 HTTP/1.1\r\nHost: h\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)),
	} {
		t.Run(name, func(t *testing.T) {
			e := &entry{}
			in := open(t, IngressConfig{}, e)
			c := dial(t, in)
			if _, err := io.WriteString(c, req+smuggled); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			resp, body := readAnswer(t, r)
			if errorCode(t, resp, body); resp.StatusCode/100 != 4 || !resp.Close {
				t.Errorf("%d, close %t; want 4xx and close", resp.StatusCode, resp.Close)
			}
			if b, err := io.ReadAll(r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q, %v behind it; want the end", b, err)
			}
			if got := e.received(); len(got) != 0 {
				t.Errorf("the engine received %v", got)
			}
		})
	}
}

// H1: a connection too many is told so, and there is room again when another one goes.
func TestConnectionsAreLimited(t *testing.T) {
	for name, c := range map[string]IngressConfig{
		"in all":        {MaxConnections: 2},
		"of one client": {MaxConnectionsPerIP: 2},
	} {
		t.Run(name, func(t *testing.T) {
			in := open(t, c, &entry{})
			first, second := dial(t, in), dial(t, in)
			serves := func(c net.Conn) {
				t.Helper()
				if _, err := io.WriteString(c, post("/shop/cart/7", "v")); err != nil {
					t.Fatal(err)
				}
				if resp, body := readAnswer(t, bufio.NewReader(c)); resp.StatusCode != 202 {
					t.Errorf("status %d with %q, want 202", resp.StatusCode, body)
				}
			}
			serves(first)
			serves(second)
			third := dial(t, in)
			resp, body := readAnswer(t, bufio.NewReader(third)) // Nothing is asked, so nothing can be reset.
			if code := errorCode(t, resp, body); resp.StatusCode != 503 || code != "too_many_connections" || !resp.Close {
				t.Errorf("%d %s, close %t; want 503 too_many_connections and close", resp.StatusCode, code, resp.Close)
			}
			serves(first)
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
			for { // Until the ingress has seen it go.
				c := dial(t, in)
				if _, err := io.WriteString(c, post("/shop/cart/7", "v")); err != nil {
					continue
				}
				if resp, err := nethttp.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode == 202 {
					return
				}
				_ = c.Close()
			}
		})
	}
}

const (
	floodEnv   = "MILLRACE_TEST_FLOOD"
	floodCount = 10_000
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(floodEnv); addr != "" {
		os.Exit(flood(addr))
	}
	os.Exit(m.Run())
}

// flood opens connections, each idle after one request, and holds them until its standard input ends. It
// is a process of its own because both ends of a connection would be charged to one.
func flood(addr string) int {
	held := make([]net.Conn, 0, floodCount)
	for range floodCount {
		c, err := net.Dial("tcp", addr)
		held = append(held, c)
		if err == nil {
			_, err = io.WriteString(c, post("/flood/x/x", "v"))
		}
		if err == nil {
			_, err = nethttp.ReadResponse(bufio.NewReader(c), nil)
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(held) // What nobody holds, the garbage collector closes.
	return 0
}

// H1: ten thousand idle connections are held, others are served meanwhile.
func TestIdleFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 connections take a few seconds")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(floodCount + 200); limit.Max < need {
		message := fmt.Sprintf("ulimit -Hn is %d; %d file descriptors are needed", limit.Max, need)
		if os.Getenv("MILLRACE_REQUIRE") == "all" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	in := open(t, IngressConfig{IdleTimeout: 10 * time.Minute}, &entry{})
	attacker := exec.Command(os.Args[0])
	attacker.Env = append(os.Environ(), floodEnv+"="+in.Addr().String())
	hold, err := attacker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := attacker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := attacker.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the attacker says %q, %v", line, err)
	}
	for range 100 {
		if resp, body := ask(t, in, post("/shop/cart/7", "v")); resp.StatusCode != 202 {
			t.Fatalf("status %d with %q, want 202", resp.StatusCode, body)
		}
	}
	if n, _ := in.server.Connections(); n < floodCount {
		t.Errorf("%d connections are open, want %d at least", n, floodCount)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%d idle connections: %d MiB of heap and stacks", floodCount, (mem.HeapInuse+mem.StackInuse)>>20)
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	if err := attacker.Wait(); err != nil {
		t.Fatal(err)
	}
}

// Garbage of any kind neither stops the server nor reaches the engine.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		post("/shop/cart/7", "v"), chunkedHead + "1\r\nv\r\n0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\r\n\r\n\r\n", "\x00", "",
		"POST http://[::1/ HTTP/1.1\r\nHost: \xff\r\n\r\n", request("POST", "/a/b/c", "text/plain", "\xff", "Expect: 100-continue"),
	} {
		f.Add([]byte(s))
	}
	e := &entry{}
	in := open(f, impatient(), e)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := dial(t, in).(*net.TCPConn)
		if _, err := c.Write(raw); err == nil {
			_ = c.CloseWrite()
		}
		answer, _ := io.ReadAll(c)
		if len(answer) > 0 {
			r := bufio.NewReader(bytes.NewReader(answer))
			resp, err := nethttp.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%q was answered with %q: %v", raw, answer, err)
			}
			if resp.StatusCode >= 500 && resp.StatusCode != 505 {
				t.Fatalf("%q was answered with %q", raw, answer)
			}
		}
	})
}
