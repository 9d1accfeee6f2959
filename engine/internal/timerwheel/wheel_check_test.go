// SPDX-License-Identifier: Apache-2.0

package timerwheel

import "math/bits"

// checkStructure verifies what the comments of Wheel, block and heap promise.
func checkStructure(t failer, w *Wheel) {
	t.Helper()
	if w.cur > w.now {
		t.Fatalf("position %d after now %d", dueOf(w.cur), dueOf(w.now))
	}
	timers, blocks := 0, uint32(1)
	for s := range uint32(slotCount) {
		l := w.slots[s]
		if occupied := w.occupied[s/64]>>(s%64)&1 == 1; occupied != (l.head != 0) || occupied != (l.tail != 0) {
			t.Fatalf("slot %#x: list %v, occupied %v", s, l, occupied)
		}
		if w.words>>(s/64)&1 == 1 != (w.occupied[s/64] != 0) {
			t.Fatalf("slot %#x: word %#x, words %#x", s, w.occupied[s/64], w.words)
		}
		prev := uint32(0)
		for n := l.head; n != 0; n = w.blocks.at(n).next {
			b := w.blocks.at(n)
			blocks++
			if b.prev != prev || uint32(b.slot) != s || b.live == 0 || bits.Len32(b.live) > int(b.used) {
				t.Fatalf("slot %#x: block %d after %d: %v", s, n, prev, b)
			}
			timers += checkBlock(t, w, s, n)
			prev = n
		}
		if l.tail != prev {
			t.Fatalf("slot %#x: tail %d, want %d", s, l.tail, prev)
		}
	}
	for n := w.blocks.free; n != 0; n = w.blocks.at(n).next {
		blocks++
	}
	if blocks != w.blocks.count {
		t.Fatalf("%d blocks in lists, %d in all", blocks, w.blocks.count)
	}
	for i := range w.overdue.length {
		l := w.overdue.at(i)
		if pos, ok := w.refs.resolve(l.h); !ok || pos != i|posOverdue || l.key >= w.cur {
			t.Fatalf("overdue timer %d of %d: %v has position %#x", i, w.overdue.length, l, pos)
		}
		if i > 0 && l.before(w.overdue.at((i-1)/2)) {
			t.Fatalf("overdue timer %d is before its parent", i)
		}
	}
	if timers += int(w.overdue.length); timers != w.length {
		t.Fatalf("%d timers stored, length %d", timers, w.length)
	}
}

func checkBlock(t failer, w *Wheel, s, n uint32) (timers int) {
	t.Helper()
	b := w.blocks.at(n)
	for i := range uint32(blockLen) {
		if b.live>>i&1 == 0 {
			continue
		}
		timers++
		e := b.entries[i]
		if pos, ok := w.refs.resolve(e.h); !ok || pos != n*blockLen+i {
			t.Fatalf("timer %v at %d has position %d, %v", e, n*blockLen+i, pos, ok)
		}
		own := slotOf(e.key, w.cur)
		unsorted := w.sorting > 0 && s == slotAt(w.sorting, w.cur) && own>>levelBits < w.sorting
		if e.key < w.cur || own != s && !unsorted {
			t.Fatalf("timer %v is in slot %#x, belongs in %#x at %d", e, s, own, dueOf(w.cur))
		}
	}
	return timers
}
