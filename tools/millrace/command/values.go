// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// interval is a duration of at least a millisecond, or off.
type interval time.Duration

// Set implements pflag.Value.
func (i *interval) Set(s string) error {
	if s == "off" {
		*i = interval(engine.EpochsOff)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return errors.New("want off or a duration of at least 1ms")
	}
	*i = interval(d)
	return nil
}

// String implements pflag.Value.
func (i *interval) String() string {
	if time.Duration(*i) == engine.EpochsOff {
		return "off"
	}
	return time.Duration(*i).String()
}

// Type implements pflag.Value.
func (i *interval) Type() string { return "duration" }

// size is a number of bytes.
type size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

// Set implements pflag.Value.
func (b *size) Set(s string) error {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
		if err != nil || int64(n) > math.MaxInt64/unit.bytes {
			break
		}
		*b = size(int64(n) * unit.bytes)
		return nil
	}
	return errors.New("want a whole number of bytes, or one with KiB, MiB, GiB or TiB")
}

// String implements pflag.Value: the shortest text that Set reads back.
func (b *size) String() string {
	for _, unit := range sizeUnits {
		if n := int64(*b); n != 0 && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return "" // None.
}

// Type implements pflag.Value.
func (b *size) Type() string { return "size" }
