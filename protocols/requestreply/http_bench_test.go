// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/remote"
)

// BenchmarkInvoke measures round trips of a request with one small message to a server that answers with
// the same bytes each time, with 64 under way: through the invoker, codec and all, and beside it the same
// bytes through a bare fasthttp.HostClient. The time of the server is in both.
func BenchmarkInvoke(b *testing.B) {
	const inFlight = 64
	body := echoBytes(mustAppend(b, "hello"))
	for _, network := range []string{"unix", "tcp"} {
		ln := listen(b, network)
		server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType(octetStream)
			ctx.SetBody(body)
		}}
		go func() { _ = server.Serve(ln) }()
		b.Run("network="+network+"/client=invoker", func(b *testing.B) {
			h := newHTTP(b, HTTPConfig{URL: (&rawServer{Listener: ln}).url(), PoolSize: inFlight})
			invokeAll(b, h, inFlight)
			shut(b, h)
		})
		b.Run("network="+network+"/client=bare", func(b *testing.B) { bare(b, ln.Addr(), inFlight) })
	}
	b.Run("network=none/client=invoker", func(b *testing.B) {
		p := NewInProcess(handlerFunc(func(context.Context, []byte) ([]byte, error) { return body, nil }), InProcessConfig{})
		invokeAll(b, p, inFlight)
		shut(b, p)
	})
}

// invokeAll keeps inFlight requests under way, each begun by the end of the one before.
func invokeAll(b *testing.B, i remote.Invoker, inFlight int) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	left := make(chan struct{}, b.N)
	for range b.N {
		left <- struct{}{}
	}
	close(left)
	b.ResetTimer()
	for range inFlight {
		r := ask(nothing{}, "hello", time.Minute).r
		wg.Add(1)
		var again func(err error)
		again = func(err error) {
			if err != nil {
				b.Error(err)
			}
			if _, more := <-left; !more {
				wg.Done()
				return
			}
			r.Begin(again)
			i.Invoke(r)
		}
		again(nil)
	}
	wg.Wait()
}

func bare(b *testing.B, to net.Addr, inFlight int) {
	b.ReportAllocs()
	body := mustAppend(b, "hello")
	client := &fasthttp.HostClient{
		Addr: "localhost", MaxConns: inFlight,
		Dial: func(string) (net.Conn, error) { return net.Dial(to.Network(), to.String()) },
	}
	left := make(chan struct{}, b.N)
	for range b.N {
		left <- struct{}{}
	}
	close(left)
	var wg sync.WaitGroup
	b.ResetTimer()
	for range inFlight {
		wg.Add(1)
		go func() {
			defer wg.Done()
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.SetRequestURI("http://localhost/fn")
			req.Header.SetMethod(fasthttp.MethodPost)
			req.Header.SetContentType(octetStream)
			req.SetBodyRaw(body)
			for range left {
				if err := client.DoTimeout(req, resp, time.Minute); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	client.CloseIdleConnections()
}
