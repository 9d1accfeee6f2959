// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// slowCall is an engine whose calls have begun, and wait.
func slowCall() (e *entry, begun, answer chan struct{}) {
	begun, answer = make(chan struct{}), make(chan struct{})
	return &entry{onCall: func(ctx context.Context) (statefun.TypedValue, error) {
		begun <- struct{}{}
		select {
		case <-answer:
			return statefun.TypedValue{Typename: "t/v", Value: []byte("late")}, nil
		case <-ctx.Done():
			return statefun.TypedValue{}, ctx.Err()
		}
	}}, begun, answer
}

// serving counts the goroutines that run an ingress's server.
func serving() int {
	buf := make([]byte, 1<<20)
	n := 0
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "internal/server.(*Server).") && !strings.Contains(stack, "testing.tRunner") {
			n++
		}
	}
	return n
}

// Close lets the call end that has begun, ends the connections that are idle, whether they have ever said
// anything or not, and leaves nothing running.
func TestCloseIsGraceful(t *testing.T) {
	e, begun, answer := slowCall()
	in := open(t, IngressConfig{IdleTimeout: time.Hour, ReadTimeout: time.Hour}, e)
	busy, used, silent := dial(t, in), dial(t, in), dial(t, in)
	if _, err := io.WriteString(used, post("/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	usedReader := bufio.NewReader(used)
	if resp, body := readAnswer(t, usedReader); resp.StatusCode != 202 {
		t.Fatalf("status %d with %q", resp.StatusCode, body)
	}
	if _, err := io.WriteString(busy, post("/call/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	<-begun
	if serving() == 0 {
		t.Error("serving() does not see the ingress, so it would not see a leak")
	}
	closed := make(chan error)
	go func() { closed <- in.Close(context.Background()) }()

	for name, r := range map[string]io.Reader{"used": usedReader, "silent": silent} {
		if b, err := io.ReadAll(r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %q, %v; want the end", name, b, err)
		}
	}
	if _, err := net.Dial("tcp", in.Addr().String()); err == nil {
		t.Error("a connection was taken in after Close had begun")
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v while a call was waiting", err)
	default:
	}
	close(answer)
	if resp, body := readAnswer(t, bufio.NewReader(busy)); resp.StatusCode != 200 || body != "late" || !resp.Close {
		t.Errorf("%d with %q, close %t; want 200, late, and close", resp.StatusCode, body, resp.Close)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(10 * time.Second); serving() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", serving())
		}
	}
}

// A request that comes when Close has begun, on a connection that was busy then, is told to come back.
func TestRequestsDuringCloseAreRefused(t *testing.T) {
	e, begun, answer := slowCall()
	in := open(t, IngressConfig{}, e)
	c := dial(t, in)
	if _, err := io.WriteString(c, post("/call/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	<-begun
	late := dial(t, in) // Busy too: its request has begun.
	req := post("/shop/cart/8", "v")
	if _, err := io.WriteString(late, req[:20]); err != nil {
		t.Fatal(err)
	}
	for busy := 0; busy < 2; { // Until the server has seen both.
		_, busy = in.server.Connections()
		runtime.Gosched()
	}
	closed := make(chan error)
	go func() { closed <- in.Close(context.Background()) }()
	for !in.server.Closing() {
		runtime.Gosched()
	}
	if _, err := io.WriteString(late, req[20:]); err != nil {
		t.Fatal(err)
	}
	resp, body := readAnswer(t, bufio.NewReader(late))
	code := errorCode(t, resp, body)
	if resp.StatusCode != 503 || code != "closing" || resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("%d %s %v; want 503 closing with Retry-After and close", resp.StatusCode, code, resp.Header)
	}
	close(answer)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := e.received(); len(got) != 1 {
		t.Errorf("the engine received %v, want the call only", got)
	}
}

// When its context is over, Close waits for nobody: the call is given up and the rest is cut.
func TestCloseCutsWhatIsLeft(t *testing.T) {
	e, begun, _ := slowCall()
	in := open(t, IngressConfig{}, e)
	busy, half := dial(t, in), dial(t, in)
	if _, err := io.WriteString(half, "POST /shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(busy, post("/call/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	<-begun
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := in.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want %v", err, context.Canceled)
	}
	for name, c := range map[string]io.Reader{"busy": busy, "half": half} {
		if b, err := io.ReadAll(c); strings.Contains(string(b), " 202 ") || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// The engine closes what it could not open, too.
func TestCloseAfterFailedOpen(t *testing.T) {
	taken := open(t, IngressConfig{}, &entry{})
	in, err := NewIngress(IngressConfig{Address: taken.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Open(t.Context(), &entry{}); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("Open = %v, want an error that names %v", err, taken.Addr())
	}
	if in.Addr() != nil {
		t.Errorf("Addr() = %v, want nil", in.Addr())
	}
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
