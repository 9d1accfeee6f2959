// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where the other side stalls makes no difference: the attempt ends after Timeout and is repeated.
func TestEgressTimeout(t *testing.T) {
	stalls := map[string]func(ctx context.Context) (net.Conn, error){
		"connect": func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"request": func(context.Context) (net.Conn, error) {
			client, server := net.Pipe() // Nobody reads.
			_ = server
			return client, nil
		},
		"answer": func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				buf := make([]byte, 1<<10)
				for {
					if _, err := server.Read(buf); err != nil {
						return
					}
				}
			}()
			return client, nil
		},
		"head, drop by drop": func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				buf := make([]byte, 1<<10)
				_, _ = server.Read(buf)
				_, err := server.Write([]byte("HTTP/1.1 200 OK\r\n"))
				for err == nil {
					time.Sleep(time.Second)
					_, err = server.Write([]byte("X: y\r\n"))
				}
			}()
			return client, nil
		},
	}
	for name, stall := range stalls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(int, arrived) string { return ok }}
				e := r.egress(t, EgressConfig{Timeout: 10 * time.Second})
				first := true
				e.client.dial = func(ctx context.Context) (net.Conn, error) {
					if first {
						first = false
						return stall(ctx)
					}
					return r.dial(ctx)
				}
				start := time.Now()
				o := outcomes{t: t}
				o.publish(e, record("a", 1))
				shut(t, e)
				o.check(1, nil)
				if d := time.Since(start); d < 10*time.Second || d > 10*time.Second+backoffMin+lastWords {
					t.Errorf("delivered after %v, want 10 s and the first back-off", d)
				}
				time.Sleep(time.Minute) // In the bubble's time, for the one that drips to notice.
			})
		})
	}
}

// A server may close a connection that has been idle just when the next request is on its way. That is no
// failure of the request, and costs it neither an attempt nor a pause.
func TestEgressStaleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server net.Conn
		r := &receiver{answer: func(int, arrived) string { return ok }}
		e := r.egress(t, EgressConfig{MaxAttempts: 1})
		e.client.dial = func(context.Context) (net.Conn, error) {
			client, s := net.Pipe()
			server = s
			r.dialled++
			go r.serve(s)
			return client, nil
		}
		o := outcomes{t: t}
		start := time.Now()
		o.publish(e, record("a", 1))
		synctest.Wait()
		_ = server.Close()
		o.publish(e, record("a", 2))
		synctest.Wait()
		o.check(2, nil)
		if d := time.Since(start); d != 0 || r.dialled != 2 {
			t.Errorf("took %v and %d connections, want no time and 2", d, r.dialled)
		}
		shut(t, e)
	})
}

// Connections are used again while they are fresh, and closed when nobody has used them for idleMax.
func TestEgressKeepsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int, arrived) string { return ok }}
		e := r.egress(t, EgressConfig{})
		o := outcomes{t: t}
		send := func(index uint64) {
			o.publish(e, record("a", index))
			synctest.Wait()
		}
		send(1)
		time.Sleep(idleMax - time.Second)
		send(2)
		if r.dialled != 1 {
			t.Errorf("%d connections, want the same one twice", r.dialled)
		}
		time.Sleep(idleMax + time.Second)
		e.client.mu.Lock()
		if n := len(e.client.idle); n != 0 {
			t.Errorf("%d connections are kept, want none", n)
		}
		e.client.mu.Unlock()
		send(3)
		if r.dialled != 2 {
			t.Errorf("%d connections, want 2", r.dialled)
		}
		shut(t, e)
		o.check(3, nil)
	})
}

// What the answer says beyond its status cannot hurt: the body is not kept, and a connection with
// something left on it is not used again.
func TestEgressHostileAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"large body":           "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000),
		"endless chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 100),
		"two answers":          ok + ok,
		"bytes behind no body": "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 X\r\n\r\n",
		"closes":               status("200 OK", "Connection: close"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(int, arrived) string { return answer }}
				e := r.egress(t, EgressConfig{})
				o := outcomes{t: t}
				start := time.Now()
				o.publish(e, record("a", 1))
				o.publish(e, record("a", 2))
				shut(t, e)
				o.check(2, nil)
				if d := time.Since(start); d != 0 || r.dialled != 2 {
					t.Errorf("took %v and %d connections, want no time and a connection for each", d, r.dialled)
				}
			})
		})
	}
}

// A receiver that says no before it has read the whole request is heard.
func TestEgressEarlyRefusal(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(status("413 X", "Connection: close")))
			_ = c.(*net.TCPConn).CloseWrite()
			defer func() { _ = c.Close() }()
		}
	}()
	e := (*receiver)(nil).egress(t, EgressConfig{URL: "http://" + ln.Addr().String(), Timeout: time.Second})
	o := outcomes{t: t}
	rec := record("a", 1)
	rec.Value = make([]byte, 32<<20) // More than the sockets' buffers.
	o.publish(e, rec)
	shut(t, e)
	var refusal *StatusError
	if err, _ := o.of(1); !errors.As(err, &refusal) || refusal.Status != 413 {
		t.Errorf("%v, want status 413", err)
	}
}

// What an egress sends, an ingress takes, over each kind of connection; and the address in
// Millrace-Sender is the path to answer at.
func TestEgressToIngress(t *testing.T) {
	a := newAuthority(t)
	socket := filepath.Join(t.TempDir(), "in.sock")
	tests := []struct {
		name string
		in   IngressConfig
		url  func(in *Ingress) string
	}{
		{"http", IngressConfig{}, func(in *Ingress) string { return "http://" + in.Addr().String() }},
		{"https", IngressConfig{TLS: a.server(t)}, func(in *Ingress) string { return "https://" + in.Addr().String() }},
		{"unix", IngressConfig{Address: "unix:" + socket}, func(*Ingress) string { return "http+unix://" + socket }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine := &entry{}
			in := open(t, tt.in, engine)
			rec := record("a/b\n%2F", 1)
			e := (*receiver)(nil).egress(t, EgressConfig{URL: tt.url(in) + "/" + escapeAddress(rec.Sender)})
			if tt.name == "https" {
				e.client.dial = dialer(e.to, &tls.Config{RootCAs: a.pool})
			}
			o := outcomes{t: t}
			for i := range uint64(3) {
				rec.Index = i
				o.publish(e, rec)
			}
			shut(t, e)
			o.check(3, nil)
			want := received{by: "send", to: rec.Sender, typename: "t/v", value: "v"}
			if got := engine.received(); len(got) != 3 || got[0] != want || got[2] != want {
				t.Errorf("received %v, want %v three times", got, want)
			}
		})
	}
}

// A server without the right certificate gets nothing.
func TestEgressVerifiesServers(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	engine := &entry{}
	in := open(t, IngressConfig{TLS: a.server(t)}, engine)
	_, port, err := net.SplitHostPort(in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		host string
		by   *authority
	}{"another authority": {"127.0.0.1", other}, "another name": {"localhost", a}} {
		e := (*receiver)(nil).egress(t, EgressConfig{URL: "https://" + net.JoinHostPort(tt.host, port) + "/a/b/c", MaxAttempts: 1})
		e.client.dial = dialer(e.to, &tls.Config{RootCAs: tt.by.pool})
		o := outcomes{t: t}
		o.publish(e, record("a", 1))
		shut(t, e)
		o.check(1, ErrAttempts)
		if got := engine.received(); len(got) != 0 {
			t.Errorf("%s: received %v", name, got)
		}
	}
}
