// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/millrace-io/millrace/loadgen"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var sample = Report{
	Report: loadgen.Report{
		Workload: "http", Keys: 1000, Dist: "uniform", Messages: 100_020, Invocations: 99_980, Seconds: 10.25, InvocationsPerS: 9754.1,
		P50Micros: 450.5, P99Micros: 2500, P999Micros: 12_000, MaxMicros: 80_000.25, RSSBytes: 1 << 25, GCPauseP99Micros: 60,
		AllocsPerInvocation: 0.25, Version: "v0.1.0", Commit: "0123abc",
	},
	URL: "http://127.0.0.1:8090/shop/cart/{key}", Method: "PUT", Connections: 64, Arrivals: Poisson,
	RateAskedPerS: 10_000, RateReachedPerS: 9756.1, Requests: 100_010, Unsent: 10,
	Statuses: map[string]int64{"202": 99_980, "503": 20}, Errors: map[string]int64{"timeout": 9, "connection refused": 1},
}

// Programs read the report: its keys, their order and their units do not change unnoticed.
func TestReportGolden(t *testing.T) {
	closed := sample
	closed.Arrivals, closed.RateAskedPerS, closed.Unsent, closed.Errors = Closed, 0, 0, map[string]int64{}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"testdata/report.golden":      func(b *bytes.Buffer) error { return sample.WriteJSON(b) },
		"testdata/report_text.golden": func(b *bytes.Buffer) error { return sample.WriteText(b) },
		"testdata/closed_text.golden": func(b *bytes.Buffer) error { return closed.WriteText(b) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s:\ngot  %swant %s", name, got.Bytes(), want)
		}
	}
}
