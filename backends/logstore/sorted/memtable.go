// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"hash/maphash"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Memtable gathers changes of some key groups and keeps the latest of each key.
//
// Nearly all of what that costs is waiting for memory, unless changes come in the order in which they came before (see
// ring). For those that do not, each key group has an index, and 64 of them at a time look into it, so that they wait
// together. Keys are put in order one group at a time, within the cache, and only when the group is read.
//
// A value that fits the room of the one before it, and does not waste it, takes its place. Otherwise the entry is dead,
// and another one appended; once half of all is dead, the living are laid down anew.
type Memtable struct {
	seed    maphash.Seed
	first   statefun.KeyGroup
	groups  []index
	indexed int64 // Bytes of the indexes.
	ring    ring
	gone    uint64 // Entries that are deletes.
	keep    int64  // How much memory a drain leaves.

	hashes [batchMax]uint64
	slots  [batchMax]uint64
	warmth byte // What has been read ahead: it must not be optimised away.
}

const batchMax = 64

// NewMemtable returns an empty one for the key groups of r.
func NewMemtable(r backend.KeyGroupRange) *Memtable {
	return &Memtable{
		seed:   maphash.MakeSeed(), // Keys come from outside: nobody may choose which of them collide.
		first:  r.First,
		groups: make([]index, max(int(r.End)-int(r.First), 0)),
	}
}

// Keep lets a drain leave up to so many bytes of memory for what is put later: to get memory takes up to a quarter of a
// fold. Otherwise it leaves none.
func (m *Memtable) Keep(bytes int64) { m.keep = bytes }

// Bytes returns about how much memory it takes.
func (m *Memtable) Bytes() int64 { return m.indexed + m.ring.bytes }

// Data returns about how many bytes of changes it holds, and how many of them are deletes.
func (m *Memtable) Data() (bytes int64, deletes uint64) { return m.ring.used - m.ring.dead, m.gone }

// group returns the index of a key group, nil when it is not among those of the memtable.
func (m *Memtable) group(group statefun.KeyGroup) *index {
	if at := int(group) - int(m.first); at >= 0 && at < len(m.groups) {
		return &m.groups[at]
	}
	return nil
}

// PutAll puts changes in their order. Those of other key groups are left out.
func (m *Memtable) PutAll(changes []backend.Change) {
	if m.ring.used == 0 {
		m.ring.start()
	}
	for len(changes) > 0 {
		batch := changes[:min(len(changes), batchMax)]
		changes = changes[len(batch):]
		if m.ring.blind > 0 {
			m.ring.blind--
			m.putIndexed(batch)
			continue
		}
		for i := range batch {
			c := &batch[i]
			if e := m.ring.find(&c.Entry); e != nil {
				m.replace(e, c)
			} else if g := m.group(c.Group); g != nil {
				m.put(g, maphash.Bytes(m.seed, c.Key), c)
			}
		}
	}
}

// putIndexed puts a batch by the indexes. It reads what that will read first: loads that do not depend on each other
// take hardly longer than one of them.
func (m *Memtable) putIndexed(batch []backend.Change) {
	for i := range batch {
		c := &batch[i]
		if g := m.group(c.Group); g != nil {
			m.hashes[i] = maphash.Bytes(m.seed, c.Key)
			m.slots[i] = g.likely(m.hashes[i])
		}
	}
	for i := range batch {
		if s := m.slots[i]; s != 0 {
			m.warmth += m.ring.entry(placeOf(s))[0]
		}
	}
	for i := range batch {
		c := &batch[i]
		if g := m.group(c.Group); g != nil {
			m.put(g, m.hashes[i], c)
		}
	}
}

// put puts a change by an index.
func (m *Memtable) put(g *index, hash uint64, c *backend.Change) {
	m.indexed -= g.bytes()
	g.grow()
	m.indexed += g.bytes()
	slot, at := g.find(&m.ring.arena, hash, c.Key)
	if at != 0 {
		m.ring.found(at)
		m.replace(m.ring.entry(at), c)
		return
	}
	g.used++
	*slot = slotOf(hash, m.add(c, len(c.Value)))
}

// add adds an entry, of which the index does not know.
func (m *Memtable) add(c *backend.Change, room int) (at uint64) {
	if c.Delete {
		m.gone++
	}
	e, at := m.ring.add(c, room)
	m.ring.chain(e, at)
	return at
}

// replace puts a change of the key of an entry, which is the last in the ring.
func (m *Memtable) replace(e entry, c *backend.Change) {
	if e.deleted() {
		m.gone--
	}
	if e.overwrite(c) {
		if c.Delete {
			m.gone++
		}
		return
	}
	hash := maphash.Bytes(m.seed, c.Key)
	slot, _ := m.group(c.Group).find(&m.ring.arena, hash, c.Key)
	m.ring.kill(e)
	*slot = slotOf(hash, m.add(c, len(c.Value)+len(c.Value)/2)) // What has changed its length will do so again.
	if m.ring.dead*2 > m.ring.used+chunkMin {
		m.layDown()
	}
}

// layDown moves the living entries together, in the order of the ring.
func (m *Memtable) layDown() {
	from := m.ring
	m.ring = ring{arena: arena{spare: from.spare}}
	for _, b := range from.spare {
		m.ring.bytes += int64(cap(b))
	}
	m.ring.start()
	for i := range m.groups {
		clear(m.groups[i].slots)
	}
	for at := from.entry(0).next(); at != 0; {
		e := from.entry(at)
		e = e[:e.bytes()]
		at = e.next()
		if e.dead() {
			continue
		}
		to, place := m.ring.room(len(e))
		copy(to, e)
		m.ring.chain(to, place)
		m.group(e.group()).insert(slotOf(maphash.Bytes(m.seed, e.key()), place))
	}
	m.ring.found(m.ring.last)
}

// Get returns the change of a key. It is valid until the next PutAll.
func (m *Memtable) Get(key backend.Entry) (c backend.Change, ok bool) {
	g := m.group(key.Group)
	if g == nil {
		return backend.Change{}, false
	}
	at := g.get(&m.ring.arena, m.seed, key.Key)
	if at == 0 {
		return backend.Change{}, false
	}
	return m.ring.entry(at).change(), true
}

// empty takes all away. Memory is kept only if some of it was used.
func (m *Memtable) empty() {
	m.gone, m.indexed = 0, 0
	keep := m.keep
	for i := range m.groups {
		g := &m.groups[i]
		if g.empty(); m.indexed+g.bytes() > keep {
			*g = index{}
		}
		m.indexed += g.bytes()
	}
	m.ring.empty(keep - m.indexed)
}
