// SPDX-License-Identifier: Apache-2.0

package timerwheel

const latesPerChunk = 1 << 10

// heap is a binary heap of the timers that were due before the position of the wheel when they were
// added. All of them fire before anything in the wheel.
//
// Winding the wheel back was the alternative. It needs no second structure, but each timer added late
// would then undo the sorting of all timers that are due soon.
type heap struct {
	chunks []*[latesPerChunk]late
	length uint32
	seq    uint64 // Counts push: a heap, unlike the slots, does not keep the order of Add by itself.
}

type late struct {
	entry
	seq uint64
}

func (l *late) before(m *late) bool { return l.key < m.key || l.key == m.key && l.seq < m.seq }

func (q *heap) at(i uint32) *late { return &q.chunks[i/latesPerChunk][i%latesPerChunk] }

// set stores l at i and notes it for the handle.
func (q *heap) set(refs *refSlab, i uint32, l late) {
	*q.at(i) = l
	refs.at(l.h).pos = i | posOverdue
}

func (q *heap) push(refs *refSlab, e entry) {
	if int(q.length) == len(q.chunks)*latesPerChunk {
		q.chunks = append(q.chunks, new([latesPerChunk]late))
	}
	q.seq++
	q.length++
	q.up(refs, q.length-1, late{entry: e, seq: q.seq})
}

// remove takes out the timer at i and returns it.
func (q *heap) remove(refs *refSlab, i uint32) entry {
	e := q.at(i).entry
	q.length--
	if last := *q.at(q.length); i < q.length {
		if i > 0 && last.before(q.at((i-1)/2)) {
			q.up(refs, i, last)
		} else {
			q.down(refs, i, last)
		}
	}
	return e
}

// up stores l at i or at the first ancestor that keeps the order.
func (q *heap) up(refs *refSlab, i uint32, l late) {
	for i > 0 {
		parent := (i - 1) / 2
		if !l.before(q.at(parent)) {
			break
		}
		q.set(refs, i, *q.at(parent))
		i = parent
	}
	q.set(refs, i, l)
}

// down stores l at i or at the first place below that keeps the order.
func (q *heap) down(refs *refSlab, i uint32, l late) {
	for {
		child := 2*i + 1
		if child >= q.length {
			break
		}
		if child+1 < q.length && q.at(child+1).before(q.at(child)) {
			child++
		}
		if !q.at(child).before(&l) {
			break
		}
		q.set(refs, i, *q.at(child))
		i = child
	}
	q.set(refs, i, l)
}
