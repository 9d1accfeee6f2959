// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// units are those of StateFun's module files.
var units = map[string]time.Duration{
	"":  time.Millisecond,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"ms": time.Millisecond, "milli": time.Millisecond, "millis": time.Millisecond,
	"millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"µs": time.Microsecond, "micro": time.Microsecond, "micros": time.Microsecond,
	"microsecond": time.Microsecond, "microseconds": time.Microsecond,
	"ns": time.Nanosecond, "nano": time.Nanosecond, "nanos": time.Nanosecond,
	"nanosecond": time.Nanosecond, "nanoseconds": time.Nanosecond,
}

// ParseDuration reads a duration as StateFun's module files write it: a whole number, perhaps blanks, and
// perhaps a unit in letters of either case. Without a unit it is milliseconds.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	v, err := strconv.ParseInt(s[:end], 10, 64)
	unit, ok := units[strings.ToLower(strings.TrimLeftFunc(s[end:], unicode.IsSpace))]
	if err != nil || !ok || v > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("duration %s: want a whole number and d, h, min, s, ms, µs or ns", quote(s))
	}
	return time.Duration(v) * unit, nil
}
