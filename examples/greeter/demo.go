// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

const contentType = "application/vnd.example/Visit"

// demonstrate sends a few visits and lets their greetings be printed, then as many as go through in
// duration. It returns when every one of them has been greeted.
func demonstrate(ctx context.Context, address string, out *printer, duration time.Duration) error {
	client := &fasthttp.HostClient{Addr: address, MaxConns: connections, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	defer client.CloseIdleConnections()

	guests := []string{"Bob", "Alice", "Bob", "Carol", "Alice", "Bob"}
	for _, name := range guests {
		if err := visit(client, address, name); err != nil {
			return err
		}
	}
	if err := until(ctx, func() bool { return out.printed.Load() == int64(len(guests)) }); err != nil {
		return fmt.Errorf("of %d greetings, %d came: %w", len(guests), out.printed.Load(), err)
	}

	out.aloud.Store(false)
	start := time.Now()
	var visits errgroup.Group
	sent := make([]int64, connections)
	for c := range connections {
		visits.Go(func() error {
			for name := fmt.Sprint("guest-", c); time.Since(start) < duration && ctx.Err() == nil; sent[c]++ {
				if err := visit(client, address, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := visits.Wait(); err != nil {
		return err
	}
	var total int64
	for _, n := range sent {
		total += n
	}
	if err := until(ctx, func() bool { return out.counted.Load() == total }); err != nil {
		return fmt.Errorf("of %d greetings, %d came: %w", total, out.counted.Load(), err)
	}
	out.aloud.Store(true)
	elapsed := time.Since(start).Seconds()
	fmt.Printf("%d visits came in over HTTP; each made two invocations and one greeting\n", total)
	fmt.Printf("throughput: %.0f msgs/s over %.1f s\n", float64(total)/elapsed, elapsed)
	return nil
}

const connections = 32

// visit sends one visit and expects it to be accepted; it tries again while the engine has no credit.
func visit(client *fasthttp.HostClient, address, name string) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPut)
	req.Header.SetContentType(contentType)
	req.SetRequestURI("http://" + address + "/example/person/" + name)
	req.SetBodyString("{}")
	for {
		if err := client.Do(req, resp); err != nil {
			return fmt.Errorf("visit of %s: %w", name, err)
		}
		switch resp.StatusCode() {
		case fasthttp.StatusAccepted:
			return nil
		case fasthttp.StatusServiceUnavailable:
			runtime.Gosched()
		default:
			return fmt.Errorf("visit of %s: %d: %s", name, resp.StatusCode(), resp.Body())
		}
	}
}

// until waits for done, for at most ten seconds.
func until(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
