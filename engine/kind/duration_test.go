// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

// The rules are those of StateFun's module files, so that a file means the same here and there.
func TestParseDuration(t *testing.T) {
	tests := []struct {
		in   string
		want time.Duration
	}{
		{"0", 0},
		{"1500", 1500 * time.Millisecond},
		{"007 s", 7 * time.Second},
		{"  2min ", 2 * time.Minute},
		{"2 \t min", 2 * time.Minute},
		{"2MIN", 2 * time.Minute},
		{"2 Min", 2 * time.Minute},
		{"3µs", 3 * time.Microsecond},
		{"3 MS", 3 * time.Millisecond},
		{"106751d", 106751 * 24 * time.Hour},
		{"9223372036854775807ns", 1<<63 - 1},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.in)
		if got != tt.want || err != nil {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseDurationUnits(t *testing.T) {
	for want, names := range map[time.Duration]string{
		24 * time.Hour:   "d day days",
		time.Hour:        "h hour hours",
		time.Minute:      "m min minute minutes",
		time.Second:      "s sec second seconds",
		time.Millisecond: "ms milli millis millisecond milliseconds",
		time.Microsecond: "µs micro micros microsecond microseconds",
		time.Nanosecond:  "ns nano nanos nanosecond nanoseconds",
	} {
		for _, name := range strings.Fields(names) {
			if got, err := ParseDuration("1" + name); got != want || err != nil {
				t.Errorf("ParseDuration(1%s) = %v, %v; want %v", name, got, err, want)
			}
		}
	}
}

func TestParseDurationRefuses(t *testing.T) {
	for _, in := range []string{
		"", " ", "s", "min 2", "-1s", "+1s", "1.5s", "1,5s", "1e3", "1s500ms", "1m 30s", "2 weeks", "2mins", "5us",
		"106752d", "9223372036854775808ns", "99999999999999999999", "1_000", "0x10", "٣s", "1s\x00", "1 s s",
	} {
		if got, err := ParseDuration(in); err == nil || got != 0 {
			t.Errorf("ParseDuration(%q) = %v, %v; want an error", in, got, err)
		}
	}
}

// FuzzParseDuration holds the result against exact arithmetic: what is accepted is the number times the
// unit, never that number wrapped round.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"", "0", "20 s", "2min", "1e3", "-1", "106752d", "9223372036854775807 ns", "1µs", "1 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseDuration(in)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("the error repeats %d bytes of input", len(in))
			}
			return
		}
		trimmed := strings.TrimSpace(in)
		unit := strings.TrimLeft(trimmed, "0123456789")
		number, ok := new(big.Int).SetString(trimmed[:len(trimmed)-len(unit)], 10)
		if !ok {
			t.Fatalf("ParseDuration(%q) = %v without a number", in, got)
		}
		want := number.Mul(number, big.NewInt(int64(units[strings.ToLower(strings.TrimSpace(unit))])))
		if want.Cmp(big.NewInt(int64(got))) != 0 {
			t.Errorf("ParseDuration(%q) = %d ns, want %v", in, got, want)
		}
	})
}
