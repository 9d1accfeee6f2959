// SPDX-License-Identifier: Apache-2.0

package remotetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

const (
	concurrency   = 4
	replyBytesMax = 1 << 12
)

// direct is the invoker that is obviously right: no bytes, a goroutine for each request.
type direct struct {
	script *Script
	twist  twist
	slots  chan struct{}
	closed chan struct{}
	served sync.WaitGroup
}

// twist breaks one thing.
type twist struct {
	serve     func(act *Act)
	reply     func(r, answer *remote.Reply)
	fail      func(err error) error
	timeout   time.Duration // Instead of the request's.
	unbounded bool
	stays     bool // Close waits for what is in progress.
}

func (d *direct) Open(context.Context) error { return nil }

func (d *direct) Invoke(r *remote.Request) {
	seen := flat(Seen{Target: r.Target, ID: string(r.ID), State: r.State, Messages: r.Messages})
	timeout := r.Timeout
	if d.twist.timeout != 0 {
		timeout = d.twist.timeout
	}
	over := time.After(timeout)
	d.served.Add(1)
	go func() {
		defer d.served.Done()
		d.serve(r, seen, over)
	}()
}

func (d *direct) serve(r *remote.Request, seen Seen, over <-chan time.Time) {
	fail := func(reason remote.Reason, text string) {
		var err error = &remote.Error{Reason: reason, Endpoint: "direct", Err: errors.New(text)}
		if d.twist.fail != nil {
			err = d.twist.fail(err)
		}
		r.Done(err)
	}
	if !d.twist.unbounded {
		select {
		case d.slots <- struct{}{}:
		case <-over:
			fail(remote.TimedOut, "in line")
			return
		case <-d.closed:
			fail(remote.Unreachable, "closed")
			return
		}
	}
	acts := make(chan Act, 1)
	d.served.Add(1)
	go func() {
		defer d.served.Done()
		act := d.script.Next(seen)
		if !d.twist.unbounded {
			<-d.slots
		}
		acts <- act
	}()
	select {
	case act := <-acts:
		if d.twist.serve != nil {
			d.twist.serve(&act)
		}
		switch {
		case act.Kind == Refuse:
			fail(remote.Refused, "refused")
		case act.Kind == Garble:
			fail(remote.Broken, "garbled")
		case size(act.Reply) > replyBytesMax:
			fail(remote.TooLarge, "too large")
		default:
			r.Reply = *comparable(act.Reply)
			r.Reply.Bytes = 1
			if d.twist.reply != nil {
				d.twist.reply(&r.Reply, act.Reply)
			}
			r.Done(nil)
		}
	case <-over:
		fail(remote.TimedOut, "no answer")
	case <-d.closed:
		fail(remote.Unreachable, "closed")
	}
}

func size(r *remote.Reply) (n int) {
	for _, m := range r.Messages {
		n += 2 + len(m.Value)
	}
	return n
}

func (d *direct) Close(context.Context) error {
	if !d.twist.stays {
		close(d.closed)
	}
	d.served.Wait()
	return nil
}

func factory(w twist) Factory {
	return Factory{
		Concurrency: concurrency, ReplyBytesMax: replyBytesMax,
		New: func(_ testing.TB, script *Script) remote.Invoker {
			return &direct{
				script: script, twist: w, slots: make(chan struct{}, concurrency), closed: make(chan struct{}),
			}
		},
	}
}

// What is obviously right passes.
func TestDirect(t *testing.T) { Run(t, factory(twist{})) }

// recorder notes the first failure and ends the check there, as *testing.T does.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Context() context.Context { return context.Background() }

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// Each mutant breaks one thing, and some check says so.
func TestMutants(t *testing.T) {
	patience = time.Second // For those that never end a request.
	defer func() { patience = 30 * time.Second }()
	large := make([]byte, replyBytesMax)
	for name, w := range map[string]twist{
		"a reply comes from elsewhere": {serve: func(act *Act) { act.Reply = echo(numbered(0)) }},
		"a refusal is a reply":         {serve: func(act *Act) { act.Kind = Answer }},
		"messages are lost": {reply: func(r, _ *remote.Reply) {
			r.Messages = r.Messages[:len(r.Messages)/2]
		}},
		"state is not asked for":      {reply: func(r, _ *remote.Reply) { r.Missing = nil }},
		"incomplete is taken as done": {reply: func(r, _ *remote.Reply) { r.Incomplete = false }},
		"a token is lost": {reply: func(r, _ *remote.Reply) {
			for i := range r.Delayed {
				r.Delayed[i].Token = nil
			}
		}},
		"absent is empty": {reply: func(r, _ *remote.Reply) {
			for i := range r.Messages {
				r.Messages[i].Absent = false
			}
		}},
		"a reply is not measured": {reply: func(r, _ *remote.Reply) { r.Bytes = 0 }},
		"what is too large is taken": {serve: func(act *Act) {
			for i := range act.Reply.Messages {
				if m := &act.Reply.Messages[i]; len(m.Value) >= len(large) {
					m.Value = m.Value[:1]
				}
			}
		}},
		"errors are anybody's":       {fail: func(err error) error { return errors.New(err.Error()) }},
		"errors do not say where":    {fail: func(err error) error { err.(*remote.Error).Endpoint = ""; return err }},
		"every failure is a refusal": {fail: func(err error) error { err.(*remote.Error).Reason = remote.Refused; return err }},
		"failures are successes":     {fail: func(error) error { return nil }},
		"the timeout does not count": {timeout: time.Hour},
		"there is no time":           {timeout: time.Nanosecond},
		"all are served at once":     {unbounded: true},
		"close waits":                {stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			var failures []string
			for _, c := range checks {
				if c.connected {
					continue
				}
				r := &recorder{TB: t}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					c.on(r, factory(w))
				}()
				<-ended
				if r.failure != "" {
					failures = append(failures, c.name)
					break
				}
			}
			if len(failures) == 0 {
				t.Fatal("passes all checks")
			}
			t.Log(strings.Join(failures, ", "))
		})
	}
}
