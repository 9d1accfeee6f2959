// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// receiver is the other side of an egress, on pipes in memory, so that it runs inside a synctest bubble.
type receiver struct {
	// answer is written to the connection as it is. Empty: the connection is closed instead.
	answer func(n int, r arrived) string

	mu      sync.Mutex
	got     []arrived // Guarded by mu.
	current int       // Requests that wait for their answer. Guarded by mu.
	most    int       // The most of them at a time. Guarded by mu.
	dialled int       // Guarded by mu.
}

type arrived struct {
	at     time.Time
	sender string
	key    string
	header nethttp.Header
	uri    string
	host   string
	body   string
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func status(line string, headers ...string) string {
	s := "HTTP/1.1 " + line + "\r\nContent-Length: 0\r\n"
	for _, h := range headers {
		s += h + "\r\n"
	}
	return s + "\r\n"
}

func (r *receiver) dial(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	r.mu.Lock()
	r.dialled++
	r.mu.Unlock()
	go r.serve(server)
	return client, nil
}

func (r *receiver) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	br := bufio.NewReader(c)
	for {
		req, err := nethttp.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		a := arrived{
			at: time.Now(), sender: req.Header.Get("Millrace-Sender"), key: req.Header.Get("Idempotency-Key"),
			header: req.Header, uri: req.RequestURI, host: req.Host, body: string(body),
		}
		r.mu.Lock()
		n := len(r.got)
		r.got = append(r.got, a)
		r.current++
		r.most = max(r.most, r.current)
		r.mu.Unlock()
		reply := r.answer(n, a)
		r.mu.Lock()
		r.current--
		r.mu.Unlock()
		if reply == "" {
			return
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

func (r *receiver) arrived() []arrived {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrived{}, r.got...)
}

// egress makes an egress to r.
func (r *receiver) egress(t testing.TB, c EgressConfig) *Egress {
	t.Helper()
	c.ID = "shop.io/out"
	if c.URL == "" {
		c.URL = "http://receiver/hook?a=b"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := NewEgress(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r != nil {
		e.client.dial = r.dial
	}
	return e
}

// outcomes collects what became of records, by index.
type outcomes struct {
	t   testing.TB
	mu  sync.Mutex
	got map[uint64]error // Guarded by mu.
}

func (o *outcomes) publish(e *Egress, r connector.Record) {
	e.Publish(r, func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, twice := o.got[r.Index]; twice {
			o.t.Errorf("done was called twice for record %d", r.Index)
		}
		if o.got == nil {
			o.got = map[uint64]error{}
		}
		o.got[r.Index] = err
	})
}

func (o *outcomes) of(index uint64) (err error, done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	err, done = o.got[index]
	return err, done
}

func (o *outcomes) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.got)
}

// check says that n records are done and each as want says.
func (o *outcomes) check(n int, want error) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.got) != n {
		o.t.Errorf("%d records are done, want %d", len(o.got), n)
	}
	for i, err := range o.got {
		if !errors.Is(err, want) {
			o.t.Errorf("record %d: %v, want %v", i, err, want)
		}
	}
}

func record(sender string, index uint64) connector.Record {
	return connector.Record{
		Application: "app", Egress: "shop.io/out", Sender: address("shop", "cart", sender), Typename: "t/v",
		Value: []byte("v"), Epoch: statefun.Epoch(41), Index: index,
	}
}

func shut(t testing.TB, e *Egress) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
