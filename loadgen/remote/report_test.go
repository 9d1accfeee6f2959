// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/millrace-io/millrace/loadgen"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is three rounds, of which the medians are of different ones.
func sample(verified bool) Report {
	var all []round
	each := func(bare, millrace int64, took time.Duration) round {
		l := newLatency()
		l.record(took)
		r := round{
			bare:     side{counts: counts{bare, 10 * bare}, seconds: 1, cpu: took / 10, served: took / 5, latency: l, verified: true},
			millrace: side{counts: counts{millrace, 9 * millrace}, seconds: 1, cpu: took / 5, served: took / 4, latency: l, verified: verified},
		}
		r.millrace.report = loadgen.Report{
			Messages: 10 * millrace, Invocations: 9 * millrace, Seconds: 1, Epochs: 2, BytesCommitted: 3, DirtyEncoded: 4,
			RSSBytes: 5 * millrace, MaxStopMicros: 6 * float64(millrace), GCPauseP99Micros: 7 * float64(millrace), AllocsPerInvocation: 8,
		}
		all = append(all, r)
		return r
	}
	c := Config{
		Network: TCP, Server: NetHTTP, Connections: 64, Rounds: 3, Each: 1500 * time.Millisecond, Shards: 2,
		Version: "v0.1.0", Commit: "0123abc",
	}
	r := newReport(c)
	r.add(10, 1000, []round{each(100, 100, time.Millisecond), each(300, 150, 3*time.Millisecond), each(200, 180, 2*time.Millisecond)})
	r.add(1000, 128, []round{each(123_456, 12_345, time.Second), each(123_458, 12_347, time.Second)})
	r.total(all)
	return r
}

// Programs read the report: its keys, their order and their units do not change unnoticed.
func TestReportGolden(t *testing.T) {
	for name, write := range map[string]func(Report, *bytes.Buffer) error{
		"testdata/report.golden":      func(r Report, b *bytes.Buffer) error { return r.WriteJSON(b) },
		"testdata/report_text.golden": func(r Report, b *bytes.Buffer) error { return r.WriteText(b) },
	} {
		var got bytes.Buffer
		if err := write(sample(true), &got); err != nil {
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
			t.Errorf("%s:\ngot\n%swant\n%s", name, &got, want)
		}
	}
}

// One round that does not add up is enough.
func TestReportIsVerifiedAsAWhole(t *testing.T) {
	if r := sample(false); r.Verified || r.Figures[0].Verified {
		t.Errorf("verified: %+v", r)
	}
}
