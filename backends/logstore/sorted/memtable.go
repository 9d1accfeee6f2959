// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"hash/maphash"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Memtable gathers changes of some key groups and keeps the latest of each key.
//
// Changes come in any order, and to look for each of them in one large table costs a load or two from memory that
// nothing hides. So they are first only copied behind each other, by key group, and put into the group's own
// table when there are as many of them as are in it: a table that fits into a cache is then brought there once,
// from one end to the other, and used many times. For the same reason keys are put in order one group at a time,
// and only when the group is read.
type Memtable struct {
	seed   maphash.Seed
	first  statefun.KeyGroup
	groups []group
	bytes  int64
	keep   int64 // How much of it a drain leaves.
	warmth byte  // What has been read ahead: it must not be optimised away.
}

// group is what is known of one key group.
type group struct {
	pending []byte // Entries as in the table's arena, newer than those in the table.
	table   table
}

// pendingBytesMin is how much is gathered for a table that is small.
const pendingBytesMin = 512

// NewMemtable returns an empty one for the key groups of r.
func NewMemtable(r backend.KeyGroupRange) *Memtable {
	return &Memtable{
		seed:   maphash.MakeSeed(), // Keys come from outside: nobody may choose which of them collide.
		first:  r.First,
		groups: make([]group, max(int(r.End)-int(r.First), 0)),
	}
}

// Keep lets a drain leave up to so many bytes of memory for what is put later: to get memory, and to move what grows
// in it, takes up to a quarter of a fold. Otherwise it leaves none.
func (m *Memtable) Keep(bytes int64) { m.keep = bytes }

// Bytes returns about how much memory it takes.
func (m *Memtable) Bytes() int64 { return m.bytes }

// Data returns about how many bytes of changes it holds, and how many of them are deletes.
func (m *Memtable) Data() (bytes int64, deletes uint64) {
	for i := range m.groups {
		g := &m.groups[i]
		m.settle(g)
		bytes += int64(len(g.table.arena) - g.table.dead)
		deletes += uint64(g.table.gone)
	}
	return bytes, deletes
}

// group returns what is known of a key group, nil when it is not among those of the memtable.
func (m *Memtable) group(group statefun.KeyGroup) *group {
	if at := int(group) - int(m.first); at >= 0 && at < len(m.groups) {
		return &m.groups[at]
	}
	return nil
}

// PutAll puts changes in their order. Those of other key groups are left out.
func (m *Memtable) PutAll(changes []backend.Change) {
	for i := range changes {
		c := &changes[i]
		g := m.group(c.Group)
		if g == nil {
			continue
		}
		if len(g.pending)+entryBytes+len(c.Key)+len(c.Value) > cap(g.pending) {
			m.settle(g)
		}
		before := cap(g.pending)
		g.pending = appendEntry(g.pending, c, len(c.Value))
		m.bytes += int64(cap(g.pending) - before) // It is longer than all that was pending.
	}
}

// settle puts what is pending into the table, and makes room for as much as is there now.
func (m *Memtable) settle(g *group) {
	if len(g.pending) == 0 {
		return
	}
	m.bytes -= g.bytes()
	if 4*len(g.pending) >= len(g.table.arena) {
		m.warmth += g.table.warm()
	}
	for e := entry(g.pending); len(e) > 0; {
		n := e.bytes()
		g.table.put(m.seed, e[:n:n])
		e = e[n:]
	}
	g.pending = g.pending[:0]
	if want := max(len(g.table.arena), pendingBytesMin); cap(g.pending) < want/2 || cap(g.pending) > 4*want {
		g.pending = make([]byte, 0, want)
	}
	m.bytes += g.bytes()
}

func (g *group) bytes() int64 { return int64(cap(g.pending)) + g.table.bytes() }

// empty takes all changes away. It keeps the memory unless little of it was used.
func (g *group) empty() {
	if g.pending = g.pending[:0]; g.table.sparse() {
		*g = group{}
	} else {
		g.table.empty()
	}
}

// Get returns the change of a key. It is valid until the next PutAll.
func (m *Memtable) Get(key backend.Entry) (c backend.Change, ok bool) {
	g := m.group(key.Group)
	if g == nil {
		return backend.Change{}, false
	}
	m.settle(g)
	if c, ok = g.table.get(m.seed, key.Key); ok {
		c.Group = key.Group
	}
	return c, ok
}

// Drain returns all changes in order. Each group is emptied when the next one is reached; afterwards the memtable is
// empty.
func (m *Memtable) Drain() Source {
	d := &drain{memtable: m, at: -1}
	d.nextGroup()
	return d
}

// drain walks through a memtable.
type drain struct {
	memtable *Memtable
	at       int // The group.
	order    []ordered
	next     int // Behind the head, in order.
	head     backend.Change
}

func (d *drain) Head() *backend.Change {
	if d.next == 0 {
		return nil
	}
	return &d.head
}

func (d *drain) Advance() error {
	if d.next < len(d.order) {
		d.show()
	} else {
		d.nextGroup()
	}
	return nil
}

func (d *drain) Close() {}

func (d *drain) show() {
	d.head = d.memtable.groups[d.at].table.entry(d.order[d.next].at).change()
	d.head.Group = d.memtable.first + statefun.KeyGroup(d.at)
	d.next++
}

// nextGroup empties a group and goes to the next one that is not empty.
func (d *drain) nextGroup() {
	m := d.memtable
	d.next = 0
	for {
		if d.at >= 0 {
			g := &m.groups[d.at]
			m.bytes -= g.bytes()
			if g.empty(); m.bytes+g.bytes() > m.keep {
				*g = group{}
			}
			m.bytes += g.bytes()
		}
		if d.at++; d.at == len(m.groups) {
			d.at = -1
			return
		}
		g := &m.groups[d.at]
		m.settle(g)
		if d.order = g.table.sorted(d.order[:0]); len(d.order) > 0 {
			d.show()
			return
		}
	}
}
