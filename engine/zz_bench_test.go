package engine_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

type Ctr interface{ Add(*engine.Context, int64) error }

var (
	ctr  = engine.Define[Ctr]("bench/counter")
	Add  = engine.Accept(ctr, engine.Int64, Ctr.Add)
	Load = engine.NewIngress("bench/load", engine.Int64)
)

type ctrFn struct{ n engine.Value[int64] }

func (c *ctrFn) Add(ctx *engine.Context, d int64) error { *c.n.Edit(ctx) += d; return nil }

type gen struct {
	ids  []byte
	i, n int
	left int
	val  []byte
}

func (g *gen) Open(context.Context, []byte) error { return nil }
func (g *gen) Poll(ctx context.Context, into *connector.Events) error {
	for into.Room() > 0 && g.left > 0 {
		into.Append(g.ids[g.i*16:g.i*16+16], "", g.val)
		if g.i++; g.i == g.n {
			g.i = 0
		}
		g.left--
	}
	if g.left == 0 {
		return io.EOF
	}
	return nil
}
func (g *gen) Position() []byte { return nil }
func (g *gen) Close() error     { return nil }

func TestZZ(t *testing.T) {
	keys, _ := strconv.Atoi(os.Getenv("KEYS"))
	msgs, _ := strconv.Atoi(os.Getenv("MSGS"))
	srcs, _ := strconv.Atoi(os.Getenv("SRCS"))
	iv := 100 * time.Millisecond
	if os.Getenv("EP") == "off" {
		iv = engine.EpochsOff
	}
	const ring = 1 << 22
	ids := make([]byte, 0, ring*16)
	x := uint64(12345)
	for range ring {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		ids = fmt.Appendf(ids, "user-%011d", (x>>11)%uint64(keys))
	}
	val, _ := engine.Int64.Append(nil, 1)
	e, err := engine.Open(context.Background(), engine.Config{EpochInterval: iv}, engine.Module{Name: "g", Bind: func(b *engine.Binder) error {
		engine.Bind(b, ctr, func(s *engine.Schema) Ctr { return &ctrFn{engine.NewValue(s, "n", engine.Int64)} })
		engine.RouteKey(b, Load, Add)
		for i := range srcs {
			engine.Connect(b, Load, &gen{ids: ids, i: i * ring / srcs, n: ring, left: msgs / srcs, val: val})
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if f := os.Getenv("PROF"); f != "" {
		w, _ := os.Create(f)
		pprof.StartCPUProfile(w)
		defer pprof.StopCPUProfile()
	}
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	start := time.Now()
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	d := time.Since(start)
	runtime.ReadMemStats(&m1)
	fmt.Printf("keys=%d %.2f M/s allocs=%d %v\n", keys, float64(msgs)/d.Seconds()/1e6, m1.Mallocs-m0.Mallocs, d)
	e.Close(context.Background())
}
