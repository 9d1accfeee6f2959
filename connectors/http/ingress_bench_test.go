// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// nowhere is an engine that costs nothing.
type nowhere struct{}

func (nowhere) IsDurable() bool { return false }

func (nowhere) Send(context.Context, statefun.Address, statefun.TypedValue, connector.Delivery) error {
	return nil
}

func (nowhere) Call(_ context.Context, _ statefun.FunctionType, _ statefun.Address, m statefun.TypedValue, _ connector.Delivery) (statefun.TypedValue, error) {
	return statefun.TypedValue{Typename: m.Typename, Value: bytes.Clone(m.Value)}, nil
}

func (nowhere) Route(context.Context, string, connector.Event, connector.Delivery) error { return nil }

// One request after another on each of 64 connections, client and server on the same machine. Allocations
// are those of the server: the client has none.
func BenchmarkIngress(b *testing.B) {
	for _, bm := range []struct{ name, path, answer string }{
		{"verb=send", "/shop/cart/1234567890", "Content-Length: 0\r\n\r\n"},
		{"verb=call", "/call/shop/cart/1234567890", "\r\n\r\n" + "0123456789abcdef"},
	} {
		b.Run(bm.name+"/connections=64/body=16B", func(b *testing.B) {
			in := open(b, IngressConfig{}, nowhere{})
			req := []byte(post(bm.path, "0123456789abcdef"))
			b.SetParallelism(32) // Times GOMAXPROCS, which is 2 where we measure.
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				c := dial(b, in)
				r := bufio.NewReader(c)
				for pb.Next() {
					if _, err := c.Write(req); err != nil {
						b.Error(err)
						return
					}
					if err := skipAnswer(r, bm.answer); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

// skipAnswer reads up to the end of an answer that ends like this.
func skipAnswer(r *bufio.Reader, end string) error {
	for matched := 0; matched < len(end); {
		c, err := r.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case c == end[matched]:
			matched++
		case c == end[0]:
			matched = 1
		default:
			matched = 0
		}
	}
	return nil
}
