// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
)

// Close does not wait for what cannot be stopped longer than it may.
func TestInProcessCloseGivesUp(t *testing.T) {
	over, begun := make(chan struct{}), make(chan struct{})
	p := NewInProcess(handlerFunc(func(context.Context, []byte) ([]byte, error) {
		close(begun)
		<-over
		return nil, nil
	}), InProcessConfig{})
	a := ask(p, "hello", ample)
	<-begun
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := p.Close(ctx); err == nil {
		t.Error("Close returned while the handler was running, without an error")
	}
	a.failed(t, remote.Unreachable, "closed")
	close(over)
}

// Whatever a handler does short of ending the process becomes a failure of its request.
func TestInProcessFailures(t *testing.T) {
	tests := map[string]struct {
		handler handlerFunc
		reason  remote.Reason
		text    string
	}{
		"error": {func(context.Context, []byte) ([]byte, error) { return nil, io.ErrNoProgress }, remote.Refused, io.ErrNoProgress.Error()},
		"panic": {func(context.Context, []byte) ([]byte, error) { panic("oops") }, remote.Refused, "panic: oops"},
		"nil":   {func(context.Context, []byte) ([]byte, error) { panic(nil) }, remote.Refused, "panic"},
		"patient": {func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, remote.TimedOut, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := NewInProcess(tt.handler, InProcessConfig{Concurrency: 1})
			for range 3 {
				timeout := ample
				if tt.reason == remote.TimedOut {
					timeout = soon
				}
				ask(p, "hello", timeout).failed(t, tt.reason, tt.text)
			}
			shut(t, p)
		})
	}
}

// A handler that has been given up keeps what it was lent, while the request is under way again.
func TestInProcessLateHandlerReads(t *testing.T) {
	over, changed := make(chan struct{}), make(chan bool, 1)
	p := NewInProcess(handlerFunc(func(ctx context.Context, b []byte) ([]byte, error) {
		before := string(b)
		if strings.Contains(before, "late") {
			<-over
			changed <- string(b) != before
		}
		return echoBytes(b), nil
	}), InProcessConfig{})
	a := ask(p, "late", soon)
	a.failed(t, remote.TimedOut, "")
	a.text, a.r.Messages[0].Value, a.r.Timeout = "next", []byte("next"), ample
	a.again(p)
	a.echoed(t)
	close(over)
	if <-changed {
		t.Error("the handler saw another request")
	}
	shut(t, p)
}
