// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixed is a Source that does not change.
type fixed engine.Stats

func (f fixed) Stats() engine.Stats { return engine.Stats(f) }

var (
	cart = engine.FunctionType{Namespace: "shop", Name: "cart"}
	paid = engine.FunctionType{Namespace: "shop", Name: "payment"}
)

// full returns Stats in which every number differs from every other.
func full() (stats engine.Stats, numbers int) {
	stats = engine.Stats{
		Shards:    make([]engine.ShardStats, 2),
		Egress:    []engine.EgressStats{{Egress: "shop/receipts"}},
		Functions: []engine.FunctionStats{{Type: cart}, {Type: paid, Remote: true}},
	}
	stats.Functions[0].Counters = []engine.CounterStats{{Name: "discounts"}, {Name: "bad\xff"}}
	number(reflect.ValueOf(&stats).Elem(), &numbers)
	return stats, numbers
}

// number gives every number in v, however deep, one of its own.
func number(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			number(v.Field(i), n)
		}
	case reflect.Slice:
		for i := range v.Len() {
			number(v.Index(i), n)
		}
	case reflect.Int64, reflect.Uint64:
		value := int64(1_000 + *n)
		if v.Type() == reflect.TypeFor[time.Duration]() {
			value *= int64(time.Second)
		}
		if v.CanInt() {
			v.SetInt(value)
		} else {
			v.SetUint(uint64(value))
		}
		*n++
	}
}

// scrape returns what a Prometheus server would get.
func scrape(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// observe has c told of every kind of end that an attempt can have.
func observe(c *Collector) {
	c.Invoked(paid, 20*time.Millisecond, nil)
	for r := remote.Unreachable; r <= remote.TooLarge; r++ {
		c.Invoked(paid, 3*time.Second, fmt.Errorf("wrapped: %w", &remote.Error{Reason: r}))
	}
	c.Invoked(paid, 70*time.Second, errors.New("of no known kind"))
}

func TestExposition(t *testing.T) {
	stats, _ := full()
	c := NewCollector()
	c.Watch(fixed(stats))
	observe(c)
	got := scrape(t, c)
	const file = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is exposed; see what has changed with -update. Exposed:\n%s", file, got)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %+v, %v", problems, err)
	}
}

// Every number of Stats is shown, also one that somebody adds later. What concerns functions elsewhere is
// shown for those only.
func TestEveryNumberIsExposed(t *testing.T) {
	stats, numbers := full()
	c := NewCollector()
	c.Watch(fixed(stats))
	exposed := map[string]bool{}
	for line := range strings.Lines(scrape(t, c)) {
		if !strings.HasPrefix(line, "#") {
			exposed[line[strings.LastIndexByte(line, ' ')+1:len(line)-1]] = true
		}
	}
	embedded := stats.Functions[0]
	hidden := map[int64]bool{embedded.InFlight: true, embedded.BacklogBytes: true, embedded.DeadLetters: true}
	for n := range int64(numbers) {
		value := 1_000 + n
		if exposed[fmt.Sprint(value)] == hidden[value] {
			t.Errorf("number %d of Stats, %d: exposed %v, want %v", n+1, value, hidden[value], !hidden[value])
		}
	}
	if len(exposed) != numbers-len(hidden) {
		t.Errorf("%d numbers are exposed, Stats have %d", len(exposed), numbers)
	}
}

// Before there is an engine a scrape works, and shows what has been observed.
func TestNothingToWatch(t *testing.T) {
	c := NewCollector()
	if got := scrape(t, c); got != "" {
		t.Errorf("exposed:\n%s", got)
	}
	c.Invoked(cart, time.Second, nil)
	if got, want := testutil.CollectAndCount(c), 1+len(reasons); got != want {
		t.Errorf("%d series, want %d", got, want)
	}
}

// A server that takes native histograms gets finer buckets than those of the text.
func TestNativeHistogram(t *testing.T) {
	c := NewCollector()
	observe(c)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil && h.GetSampleCount() == 7 && len(h.GetPositiveSpan()) > 0 {
				return
			}
		}
	}
	t.Errorf("no native histogram of 7 attempts in %v", families)
}
