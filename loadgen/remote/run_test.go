// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/loadgen"
)

// small is a run that is over at once.
func small(network Network, server Server) Config {
	return Config{
		Network: network, Server: server, Connections: 3, Invocations: []int{1, 7}, Rounds: 2,
		Each: 20 * time.Millisecond, Keys: 50, Shards: 2, Version: "v0", Commit: "abc",
	}
}

// Both sides account for all that they have sent, wherever the functions are served.
func TestRunIsVerified(t *testing.T) {
	for _, c := range []Config{small(Unix, FastHTTP), small(TCP, FastHTTP), small(TCP, NetHTTP), small(InProcess, "")} {
		t.Run(fmt.Sprint(c.Network, " ", c.Server), func(t *testing.T) {
			var log bytes.Buffer
			profile := filepath.Join(t.TempDir(), "cpu")
			c.Log, c.Profiles.CPU = &log, profile
			c.Bare, c.Millrace = &loadgen.Curve{}, &loadgen.Curve{}
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Verified || len(r.Figures) != 2 {
				t.Errorf("not all of it has been run once: %+v", r)
			}
			for i, f := range r.Figures {
				if f.InvocationsPerRequest != c.Invocations[i] || f.Keys != 50 || f.BareP99Micros <= 0 || f.P99Micros <= 0 || f.Ratio <= 0 {
					t.Errorf("%+v", f)
				}
			}
			if r.Keys != 50 || r.Messages <= r.Invocations || r.Seconds < 4*c.Each.Seconds() || r.P50Micros <= 0 || r.P50Micros > r.P99Micros ||
				r.P99Micros > r.P999Micros || r.P999Micros > r.MaxMicros {
				t.Errorf("the totals are %+v", r.Report)
			}
			if n := strings.Count(log.String(), "\n"); n != 4 {
				t.Errorf("the log has %d lines, want one for each round:\n%s", n, &log)
			}
			if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
				t.Errorf("no profile was written: %v", err)
			}
			for _, curve := range []*loadgen.Curve{c.Bare, c.Millrace} {
				if curve.Last().Done <= 0 || curve.Latency.TotalCount() <= 0 {
					t.Errorf("nothing was drawn: %+v", curve)
				}
			}
		})
	}
}

// crooked is functions that answer one byte wrongly, or have counted more than they were asked.
type crooked struct {
	local
	wrongByte bool
	counted   counts // Added each time.
	sum       counts
}

func (c *crooked) dial() (call, func()) {
	send, hangUp := c.local.dial()
	calls := 0
	return func(body []byte) ([]byte, error) {
		reply, err := send(body)
		if calls++; c.wrongByte && calls == 2 {
			reply[len(reply)-1]++
		}
		return reply, err
	}, hangUp
}

func (c *crooked) asked() (counts, time.Duration, error) {
	c.sum.requests += c.counted.requests
	c.sum.invocations += c.counted.invocations
	n := c.counts()
	return counts{n.requests + c.sum.requests, n.invocations + c.sum.invocations}, 0, nil
}

// Verified is worth something only if it can be false.
func TestVerificationNotices(t *testing.T) {
	target := func() *crooked {
		l, err := newLocal()
		if err != nil {
			t.Fatal(err)
		}
		return &crooked{local: l}
	}
	c := small(InProcess, "").withDefaults()
	for _, extra := range []counts{{requests: 1}, {invocations: 1}, {invocations: -1}} {
		twice := target()
		twice.counted = extra
		if s, err := measureBare(t.Context(), c, twice, 7); err != nil || s.verified {
			t.Errorf("bare client: verified = %t (%v), with %+v too many", s.verified, err, extra)
		}
		if s, err := measureMillrace(t.Context(), c, twice, 7, loadgen.Profiles{}); err != nil || s.verified {
			t.Errorf("engine: verified = %t (%v), with %+v too many", s.verified, err, extra)
		}
	}
	wrong := target()
	wrong.wrongByte = true
	if _, err := measureBare(t.Context(), c, wrong, 7); err == nil || !strings.Contains(err.Error(), "want") {
		t.Errorf("bare client: %v, with a wrong reply", err)
	}
}

// Of what keys tell, only the number of messages that they were sent is right.
func TestApplicationHears(t *testing.T) {
	c := small(InProcess, "").withDefaults()
	a, err := newApplication(c, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.firsts.sent, a.load.sent = 50, 7*50+9 // The first two keys have had 9 more.
	close(a.firsts.ended)
	close(a.load.ended)
	for _, tt := range []struct {
		id    string
		count int64
		right bool
	}{
		{a.ids[0], 15, true},
		{a.ids[1], 10, true},
		{a.ids[2], 8, true},
		{a.ids[2], 9, false},
		{a.ids[0], 14, false},
		{"nobody", 8, false},
		{"", 15, false},
	} {
		value, err := engine.Int64.Append(nil, tt.count)
		if err != nil {
			t.Fatal(err)
		}
		told, wrong := a.told.Load(), a.wrong.Load()
		if err := a.hear(connector.Record{Sender: statefun.Address{ID: tt.id}, Value: value}); err != nil {
			t.Error(err)
		}
		if right := a.wrong.Load() == wrong; right != tt.right || a.told.Load() != told+1 {
			t.Errorf("%s tells %d: right is %t, want %t", tt.id, tt.count, right, tt.right)
		}
	}
	if err := a.hear(connector.Record{Sender: statefun.Address{ID: a.ids[3]}, Value: []byte("no number")}); err == nil {
		t.Error("a record that is no number is accepted")
	}
}

// Whoever interrupts a run gets the reason, and no report.
func TestRunEndsWithItsContext(t *testing.T) {
	for _, network := range []Network{Unix, InProcess} {
		ctx, cancel := context.WithCancel(t.Context())
		c := small(network, FastHTTP)
		c.Rounds, c.Log = 1000, writer(cancel) // After the first round, that is.
		if r, err := Run(ctx, c); !errors.Is(err, context.Canceled) || r.Workload != "" {
			t.Errorf("%s: Run = %+v, %v; want no report and the context's error", network, r, err)
		}
	}
}

// writer is called when something is written.
type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

func TestConfigValidate(t *testing.T) {
	if err := small(Unix, FastHTTP).Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"network: udp, want unix or tcp":                 func(c *Config) { c.Network = "udp" },
		"server: apache, want fasthttp or net/http":      func(c *Config) { c.Server = "apache" },
		"connections: -1, want 1":                        func(c *Config) { c.Connections = -1 },
		"rounds: 0, want 1":                              func(c *Config) { c.Rounds = 0 },
		"keys: -1, want 0":                               func(c *Config) { c.Keys = -1 },
		"keys: 2, want at least as many as connections":  func(c *Config) { c.Keys = 2 },
		"shards: -1, want 1":                             func(c *Config) { c.Shards = -1 },
		"seconds: 0, want more than 0":                   func(c *Config) { c.Each = 0 },
		"invocations: [], want at least one":             func(c *Config) { c.Invocations = nil },
		"invocations: 0, want 1":                         func(c *Config) { c.Invocations = []int{3, 0} },
		"rounds: 1001, want 1 to 1000\nshards: 1025":     func(c *Config) { c.Rounds, c.Shards = 1001, 1025 },
		"invocations: 10001, want 1 to 10000":            func(c *Config) { c.Invocations = []int{10_001} },
		"seconds: 7200, want more than 0, at most 3600":  func(c *Config) { c.Each = 2 * time.Hour },
		"server: , want fasthttp or net/http":            func(c *Config) { c.Server = "" },
		"connections: 65537, want 1 to 65536\nkeys: 50,": func(c *Config) { c.Connections = 65_537 },
	} {
		c := small(Unix, FastHTTP)
		change(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}
