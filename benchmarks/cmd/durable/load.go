// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// load is what a client does: so many connections, each of which has one request under way.
type load struct {
	connections, keys int
	duration          time.Duration
}

// target is a server as the client sees it.
type target struct {
	address string // HOST:PORT
	// request fills in what adds one to the counter of a key, and count reads the reply.
	request func(r *fasthttp.Request, key string)
	count   func(body []byte) (int64, error)
}

// result is one measurement. Latencies are in milliseconds.
type result struct{ perSecond, p50, p99, most float64 }

// latencyMax is the longest latency that is told from longer ones, in microseconds.
const latencyMax = 60_000_000

// connection is one of the client's.
type connection struct {
	random    *rand.Rand
	latencies *hdrhistogram.Histogram
	added     []int64 // By key,
	greatest  []int64 // and the greatest count that a reply has told.
}

func (l load) run(ctx context.Context, t target, seed uint64) (result, error) {
	client := &fasthttp.HostClient{
		Addr: t.address, MaxConns: l.connections, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		NoDefaultUserAgentHeader: true, RetryIfErr: func(*fasthttp.Request, int, error) (reset, again bool) { return false, false },
	}
	defer client.CloseIdleConnections()
	connections := make([]*connection, l.connections)
	for i := range connections {
		connections[i] = &connection{
			random: rand.New(rand.NewPCG(seed, uint64(i))), latencies: hdrhistogram.New(1, latencyMax, 3),
			added: make([]int64, l.keys), greatest: make([]int64, l.keys),
		}
	}
	if _, err := l.phase(ctx, client, t, connections, l.duration/5); err != nil {
		return result{}, err
	}
	for _, c := range connections {
		c.latencies.Reset()
	}
	took, err := l.phase(ctx, client, t, connections, l.duration)
	if err != nil {
		return result{}, err
	}
	if err := verify(connections); err != nil {
		return result{}, err
	}
	all := hdrhistogram.New(1, latencyMax, 3)
	for _, c := range connections {
		all.Merge(c.latencies)
	}
	millis := func(micros int64) float64 { return float64(micros) / 1e3 }
	return result{
		perSecond: float64(all.TotalCount()) / took.Seconds(),
		p50:       millis(all.ValueAtPercentile(50)), p99: millis(all.ValueAtPercentile(99)), most: millis(all.Max()),
	}, nil
}

// phase has all connections send for a while.
func (l load) phase(ctx context.Context, client *fasthttp.HostClient, t target, connections []*connection, duration time.Duration) (took time.Duration, err error) {
	begin := time.Now()
	end := begin.Add(duration)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range connections {
		group.Go(func() error {
			for time.Now().Before(end) && ctx.Err() == nil {
				if err := c.add(client, t); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err = group.Wait()
	return time.Since(begin), err
}

// add sends one request and waits for its reply.
func (c *connection) add(client *fasthttp.HostClient, t target) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	key := c.random.IntN(len(c.added))
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetHost(t.address)
	t.request(request, keys.ID(key))
	sent := time.Now()
	if err := client.Do(request, response); err != nil {
		return err
	}
	took := time.Since(sent)
	if response.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("status %d: %s", response.StatusCode(), response.Body())
	}
	n, err := t.count(response.Body())
	if err != nil {
		return fmt.Errorf("reply %q: %w", response.Body(), err)
	}
	c.added[key]++
	c.greatest[key] = max(c.greatest[key], n)
	return c.latencies.RecordValue(min(max(took.Microseconds(), 1), latencyMax))
}

// verify compares, for each key, how often it was added to with the greatest count that anybody was told.
func verify(connections []*connection) error {
	for key := range connections[0].added {
		var added, greatest int64
		for _, c := range connections {
			added += c.added[key]
			greatest = max(greatest, c.greatest[key])
		}
		if added != greatest {
			return fmt.Errorf("%s was added to %d times, and its count is %d", keys.ID(key), added, greatest)
		}
	}
	return nil
}
