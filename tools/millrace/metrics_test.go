// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// metric returns the value of a series in a scrape; 0 without one.
func metric(t *testing.T, scrape, series string) float64 {
	t.Helper()
	for line := range strings.Lines(scrape) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// A scrape of the real thing counts what has happened, follows Prometheus's rules, and is what
// docs/metrics.md says.
func TestMetrics(t *testing.T) {
	p := run(t, nil, "-m", serveFunctions(t, nil).module(t), "--admin", "127.0.0.1:0", "--shards", "1")
	const calls = 3
	for range calls {
		if got := millrace(t, "send", "example/echo/a", "--string", "hello", "--call", "--admin", p.admin); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	const labels = `{function="echo",namespace="example"}`
	scrape := ""
	eventually(t, "the shard shows its counters", func() bool {
		_, scrape = get(t, "http://"+p.admin+"/metrics")
		return metric(t, scrape, "millrace_function_in_total"+labels) == calls
	})
	for series, want := range map[string]float64{
		"millrace_function_in_total" + labels:                                                      calls,
		"millrace_function_out_remote_total" + labels:                                              calls,
		"millrace_function_remote_invocation_latency_seconds_count" + labels:                       calls,
		`millrace_shard_invocations_total{shard="0"}`:                                              calls,
		"millrace_function_blocked_addresses" + labels:                                             0,
		`millrace_build_info{commit="abc",goversion="` + runtime.Version() + `",version="v1.2.3"}`: 1,
	} {
		if got := metric(t, scrape, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if !strings.Contains(scrape, "\ngo_goroutines ") || !strings.Contains(scrape, "\nprocess_cpu_seconds_total ") {
		t.Errorf("no metrics of Go and the process:\n%s", scrape)
	}
	problems, err := promlint.New(strings.NewReader(scrape)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %+v, %v", problems, err)
	}
	p.stop()
}

// docs/metrics.md lists every metric that there is, with its type, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, name := range regexp.MustCompile("`(millrace_[a-z_]+)").FindAllStringSubmatch(string(docs), -1) {
		listed[name[1]] = true
	}
	exposed, err := os.ReadFile("../../connectors/prometheus/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{"millrace_build_info": true}
	for _, name := range regexp.MustCompile("(?m)^# TYPE ([a-z_]+) ").FindAllStringSubmatch(string(exposed), -1) {
		there[name[1]] = true
	}
	for name := range there {
		if !listed[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
	for name := range listed {
		if !there[name] {
			t.Errorf("%s is in docs/metrics.md and does not exist", name)
		}
	}
}
