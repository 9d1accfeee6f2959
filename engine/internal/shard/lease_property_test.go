// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/clock"
)

func drawTerms(t *rapid.T, idles bool) (terms terms) {
	times := rapid.SampledFrom([]int64{1, 30, 64, 700, 6400})
	terms.n, terms.t, terms.i = times.Draw(t, "n"), times.Draw(t, "t"), times.Draw(t, "i")
	if idles {
		terms.idle = times.Draw(t, "idle")
	}
	return terms
}

// Whatever messages do, fail and wait, and whenever they come: a value or an instance is there, whole, for as
// long as it was promised, and not longer than a 64th of that; it goes when nobody looks, too; instances at which
// messages wait or that have sent some are spared; and all that survives recoveries, with the time that is left,
// which may be another then (P37, O7).
func TestLeaseModel(t *testing.T) {
	words := rapid.SampledFrom([]string{"n1", "n2", "t", "tx", "t" + strings.Repeat("y", 50), "i1", "i2", "p1", "?", "?", "~n", "~t", "~i", "~p", "@0,a:?", "@50,b:i1", "@900,c:n1", "x", "flaky"})
	ids := rapid.SampledFrom([]string{"a", "b", "c", "an-id-of-more-than-sixteen-bytes"})
	passes := rapid.SampledFrom([]clock.Instant{0, 1, 1, 9, 10, 11, 29, 30, 31, 63, 64, 65, 690, 700, 711, 3000, 6400, 6500, 100_000})
	rapid.Check(t, func(t *rapid.T) {
		idles := rapid.Bool().Draw(t, "idles")
		m := &leaseModel{t: t, r: newLeaseRig(t, drawTerms(t, idles)), boxes: map[string]*leaseBox{}}
		post := func(id, message string) {
			m.box(id)
			m.r.post(id + " " + message)
			m.follow()
		}
		goOn := func(skip bool) {
			for _, id := range slices.Sorted(maps.Keys(m.boxes)) {
				b := m.boxes[id]
				if !b.suspended {
					continue
				}
				b.suspended = false
				if skip {
					b.messaged = b.messaged.again(m.r.terms.idle, m.r.now)
				}
				m.r.resume(id, skip)
				m.follow()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				m.r.flaky = rapid.IntRange(0, 3).Draw(t, "flaky")
				message := rapid.SliceOfN(words, 1, 4).Draw(t, "words")
				if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
					message = append(message, "permanent")
				}
				post(ids.Draw(t, "id"), strings.Join(message, ";"))
			},
			"pass": func(t *rapid.T) {
				m.r.advance(passes.Draw(t, "ms"))
				m.follow()
			},
			"resume": func(t *rapid.T) { goOn(rapid.Bool().Draw(t, "skip")) },
			"cut":    func(*rapid.T) { m.cut() },
			"encode": func(t *rapid.T) { m.r.s.EncodeFrozen(rapid.IntRange(1, 3).Draw(t, "most")) },
			"part":   func(*rapid.T) { m.part() },
			"reload": func(t *rapid.T) {
				m.cut()
				m.part()
				m.r = m.r.reload(passes.Draw(t, "down"), drawTerms(t, idles))
				m.follow()
			},
			"": func(*rapid.T) { m.check() },
		})
		for range 10 {
			m.r.flaky = 0
			goOn(true)
			m.r.advance(100_000)
			m.follow()
			m.check()
		}
		for id := range m.r.instances() {
			post(id, "~p;~n;~t;~i")
		}
		m.cut()
		m.part()
		if s := m.r.s; len(m.r.stored()) != 0 || s.Instances() != 0 || s.heap.Bytes() != 0 || s.wheel.Len() != 0 {
			t.Fatalf("%d stored; %d instances, %d bytes, %d timers in the end", len(m.r.stored()), s.Instances(), s.heap.Bytes(), s.wheel.Len())
		}
	})
}
