// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

const (
	soon  = 20 * time.Millisecond // For a request that is to run out of time.
	ample = time.Minute           // For one that is not.
)

// rawServer is functions that answer with whatever bytes a test likes, connection by connection.
type rawServer struct {
	net.Listener
	// serve has the nth connection for itself, from 0.
	serve func(n int, c *rawConn)

	serving sync.WaitGroup
	mu      sync.Mutex
	dialled int        // Guarded by mu.
	all     []net.Conn // Guarded by mu.
}

type rawConn struct {
	net.Conn
	r *bufio.Reader
}

func newRawServer(t testing.TB, network string, serve func(n int, c *rawConn)) *rawServer {
	t.Helper()
	s := &rawServer{Listener: listen(t, network), serve: serve}
	s.serving.Add(1)
	go s.accept()
	t.Cleanup(func() {
		_ = s.Close()
		s.mu.Lock()
		for _, c := range s.all {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.serving.Wait()
	})
	return s
}

func (s *rawServer) accept() {
	defer s.serving.Done()
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		n := s.dialled
		s.dialled++
		s.all = append(s.all, c)
		s.mu.Unlock()
		s.serving.Add(1)
		go func() {
			defer s.serving.Done()
			defer func() { _ = c.Close() }()
			s.serve(n, &rawConn{Conn: c, r: bufio.NewReader(c)})
		}()
	}
}

// connections is how many there have been.
func (s *rawServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

func (s *rawServer) url() string {
	if s.Addr().Network() == "unix" {
		return "http+unix://" + s.Addr().String() + "/fn"
	}
	return "http://" + s.Addr().String() + "/fn"
}

// request reads a request; nil when there is none.
func (c *rawConn) request() *nethttp.Request {
	r, err := nethttp.ReadRequest(c.r)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

func (c *rawConn) write(s string) error {
	_, err := io.WriteString(c, s)
	return err
}

// closed waits until the other end has closed the connection.
func (c *rawConn) closed() {
	_, _ = io.Copy(io.Discard, c.r)
}

// echoAll answers every request on the connection with what it holds.
func (c *rawConn) echoAll() {
	for r := c.request(); r != nil; r = c.request() {
		body, err := io.ReadAll(r.Body)
		if err != nil || c.write(ok(echoBytes(body))) != nil {
			return
		}
	}
}

// ok is an answer of success.
func ok(body []byte, headers ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " + fmt.Sprint(len(body)) +
		"\r\n" + lines(headers) + "\r\n" + string(body)
}

func lines(headers []string) (s string) {
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s
}

// echoBytes is the reply that sends the first message of a request back.
func echoBytes(toFunction []byte) []byte {
	seen, err := seenIn(toFunction)
	if err != nil {
		return nil
	}
	m := seen.Messages[0]
	b, err := replyBytes(&remote.Reply{Messages: []remote.Outgoing{{
		To:      remote.To{Namespace: []byte(seen.Target.Namespace), Name: []byte(seen.Target.Name), ID: []byte(seen.ID)},
		Payload: remote.Payload{Typename: m.Typename, Value: m.Value},
	}}})
	if err != nil {
		return nil
	}
	return b
}

// asked is a request under way. Its one message holds text.
type asked struct {
	r     *remote.Request
	text  string
	ended chan error
}

func ask(i remote.Invoker, text string, timeout time.Duration) *asked {
	a := &asked{text: text, ended: make(chan error, 1), r: &remote.Request{
		Target: statefun.FunctionType{Namespace: "shop", Name: "cart"}, ID: []byte("id"), Timeout: timeout,
		Messages: []remote.Message{{Typename: []byte("shop/text"), Value: []byte(text)}},
	}}
	a.again(i)
	return a
}

func (a *asked) again(i remote.Invoker) {
	a.r.Begin(func(err error) { a.ended <- err })
	i.Invoke(a.r)
}

// answer waits for the end of the request.
func (a *asked) answer(t testing.TB) (string, error) {
	t.Helper()
	select {
	case err := <-a.ended:
		if err != nil || len(a.r.Reply.Messages) == 0 {
			return "", err
		}
		return string(a.r.Reply.Messages[0].Value), nil
	case <-time.After(30 * time.Second):
		t.Fatal("the request does not end")
		return "", nil
	}
}

// echoed waits for the reply that sends the message back.
func (a *asked) echoed(t testing.TB) {
	t.Helper()
	if got, err := a.answer(t); err != nil || got != a.text {
		t.Fatalf("%.40q, %v; want %.40q", got, err, a.text)
	}
}

// failed waits for a failure.
func (a *asked) failed(t testing.TB, reason remote.Reason, text string) *remote.Error {
	t.Helper()
	got, err := a.answer(t)
	e := (*remote.Error)(nil)
	if !errors.As(err, &e) || e.Reason != reason || !strings.Contains(err.Error(), text) {
		t.Fatalf("%.40q, %v; want %v with %q", got, err, reason, text)
	}
	return e
}

// shut closes an invoker, of which nothing may be left.
func shut(t testing.TB, i remote.Invoker) {
	t.Helper()
	if err := i.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	const ours = "requestreply.(*crew)"
	stacks := ""
	for range 1 << 12 { // A goroutine that has said that it is done needs a moment to be gone.
		buf := make([]byte, 1<<20)
		if stacks = string(buf[:runtime.Stack(buf, true)]); !strings.Contains(stacks, ours) {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("goroutines are left:\n%s", stacks)
}
