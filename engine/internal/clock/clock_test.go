// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// shifted returns t as it would have been read had the wall clock been off by seconds: another wall time,
// and the same monotonic reading. A clock that was started at it sees what a running clock sees when the
// wall clock is set right.
//
// There is no other way to set the wall clock back in a test; it relies on how time.Time is laid out (a
// flag, 33 bits of seconds, 30 of nanoseconds, then the monotonic reading), and says so when that changes.
func shifted(t *testing.T, now time.Time, seconds int64) time.Time {
	t.Helper()
	before := now
	const secondShift = 30
	*(*uint64)(unsafe.Pointer(&now)) += uint64(seconds << secondShift)
	wall := now.Round(0).Sub(before.Round(0))
	if monotonic := now.Sub(before); monotonic != 0 || wall != time.Duration(seconds)*time.Second {
		t.Fatalf("time.Time has another layout: moved by %v, %v by the monotonic clock", wall, monotonic)
	}
	return now
}

// Whatever is done to the wall clock after the start, engine time goes on by the time that has passed. Not
// in a bubble of synctest: there the one clock is a wall clock.
func TestRealIgnoresWallJumps(t *testing.T) {
	for _, off := range []time.Duration{-24 * time.Hour, -time.Hour, -time.Second, time.Second, time.Hour, 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			now := time.Now()
			c := newReal(shifted(t, now, int64(off/time.Second)), 0)
			base := Instant(now.Add(off).UnixMilli())
			for last := base; last < base+20; {
				least := base + Instant(time.Since(now)/time.Millisecond)
				got := c.Now()
				most := base + Instant(time.Since(now)/time.Millisecond)
				if got < least || got > most || got < last {
					t.Fatalf("after %d it is %d, want %d to %d", last, got, least, most)
				}
				last = got
			}
		})
	}
}

// A clock that starts where an earlier run has been goes on from there, also when the wall clock is behind.
func TestRealIsNeverBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := Instant(time.Now().UnixMilli())
		for _, notBefore := range []Instant{0, wall - 1, wall, wall + 1, wall + 86_400_000} {
			c := NewReal(notBefore)
			want := max(Instant(time.Now().UnixMilli()), notBefore)
			if got := c.Now(); got != want {
				t.Errorf("NewReal(%d) starts at %d, want %d", notBefore, got, want)
			}
			time.Sleep(time.Second)
			if got := c.Now(); got != want+1000 {
				t.Errorf("NewReal(%d) is at %d after a second, want %d", notBefore, got, want+1000)
			}
		}
	})
}

// Parts of a millisecond are dropped: what is due at an instant is not due before it.
func TestRealRoundsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewReal(0)
		start := c.Now()
		time.Sleep(time.Millisecond - time.Nanosecond)
		if got := c.Now(); got != start {
			t.Errorf("a nanosecond too early it is %d, want %d", got, start)
		}
		time.Sleep(time.Nanosecond)
		if got := c.Now(); got != start+1 {
			t.Errorf("after a millisecond it is %d, want %d", got, start+1)
		}
	})
}

func TestVirtual(t *testing.T) {
	c := NewVirtual(1000)
	for _, step := range []struct{ by, want Instant }{{0, 1000}, {1, 1001}, {-5, 1001}, {999, 2000}} {
		c.Advance(step.by)
		if got := c.Now(); got != step.want {
			t.Errorf("after Advance(%d) it is %d, want %d", step.by, got, step.want)
		}
	}
}

func TestInstantTime(t *testing.T) {
	want := time.Date(2026, time.May, 1, 12, 0, 0, 7_000_000, time.UTC)
	if got := Instant(want.UnixMilli()).Time(); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("%v, want %v", got, want)
	}
}
