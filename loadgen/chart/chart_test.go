// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/loadgen"
)

// curve is of a load at a steady rate, with latencies of 100 µs to 100 ms.
func curve(name string, perMilli int64) *loadgen.Curve {
	c := &loadgen.Curve{Name: name, Unit: "requests"}
	for i := range 1000 {
		c.Observe(time.Duration(i)*time.Millisecond, int64(i)*perMilli)
	}
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	for i := range int64(1000) {
		_ = h.RecordValue(100_000 * (1 + i))
	}
	c.Took(h)
	return c
}

// What is written is an SVG document or a PNG picture, with all labels in it.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	svg, picture := filepath.Join(dir, "a.svg"), filepath.Join(dir, "a.PNG")
	for _, path := range []string{svg, picture} {
		if err := Write(path, "a title", curve("first", 2), curve("second", 3)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, label := range []string{"a title", "first", "second", "requests per second", "seconds", "percentile", "99.9", "1 ms", "2 k"} {
		if !strings.Contains(string(text), ">"+label+"<") {
			t.Errorf("the drawing has no label %q", label)
		}
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if image, err := png.Decode(f); err != nil || image.Bounds().Dx() < 500 {
		t.Errorf("picture: %v", err)
	}
}

// Of loads that have hardly begun, too, there is something to draw.
func TestWriteLittle(t *testing.T) {
	one := hdrhistogram.New(1, 1000, 3)
	_ = one.RecordValue(1)
	for name, c := range map[string]*loadgen.Curve{
		"nothing":    {},
		"one sample": {Samples: []loadgen.Sample{{At: time.Second, Done: 1}}},
		"no time":    {Samples: []loadgen.Sample{{}, {}}},
		"a latency":  {Samples: []loadgen.Sample{{}, {At: 1, Done: 1}}, Latency: one},
		"no latency": {Samples: []loadgen.Sample{{}, {At: 1, Done: 1}}, Latency: hdrhistogram.New(1, 1000, 3)},
	} {
		if err := Write(filepath.Join(t.TempDir(), "a.svg"), name, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := Check(filepath.Join(t.TempDir(), "x.svg")); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"x", "x.pdf", "svg", filepath.Join(t.TempDir(), "no", "x.svg")} {
		if err := Check(path); err == nil || Write(path, "") == nil {
			t.Errorf("%q is accepted: %v", path, err)
		}
	}
}

// A line of rates loses nothing: the area below it is what was done.
func TestRatesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := []loadgen.Sample{{}}
		for range rapid.IntRange(1, 300).Draw(t, "samples") {
			last := samples[len(samples)-1]
			samples = append(samples, loadgen.Sample{
				At:   last.At + time.Duration(rapid.IntRange(1, 1e6).Draw(t, "gap")),
				Done: last.Done + rapid.Int64Range(0, 1000).Draw(t, "done"),
			})
		}
		last, from, done := samples[len(samples)-1], 0.0, 0.0
		line := rates(samples)
		for _, p := range line {
			span := 2 * (p.X - from) // A rate is drawn at the middle of its bin.
			done += p.Y * span
			from += span
		}
		if math.Abs(done-float64(last.Done)) > 1e-3 || math.Abs(from-last.At.Seconds()) > 1e-6 || len(line) > bins+1 {
			t.Fatalf("%v in %v s through %d bins, want %d in %v s", done, from, len(line), last.Done, last.At.Seconds())
		}
	})
}

func TestLabels(t *testing.T) {
	var got []string
	for _, tick := range percentiles(0, 4.2) {
		got = append(got, tick.Label)
	}
	for _, tick := range durations(100, 1e10) {
		got = append(got, tick.Label)
	}
	for _, x := range []float64{0, 999, 1000, 2.5e6, 1e9, -2000} {
		got = append(got, short(x))
	}
	want := "0,50,90,99,99.9,99.99,100 ns,1 µs,10 µs,100 µs,1 ms,10 ms,100 ms,1 s,10 s,0,999,1 k,2.5 M,1 G,-2 k"
	if s := strings.Join(got, ","); s != want {
		t.Errorf("labels %s, want %s", s, want)
	}
}
