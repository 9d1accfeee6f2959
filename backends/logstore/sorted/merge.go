// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Merge yields what several sources hold together. Where they hold the same key, the first of them wins: the
// newest comes first.
type Merge struct {
	sources []Source
	at      Source          // The one whose head is the head of all, nil at the end.
	bound   *backend.Change // The least head of the others, nil when they have ended.
}

// NewMerge merges sources, the newest first. When it fails, they are closed.
func NewMerge(sources []Source) (*Merge, error) {
	m := &Merge{sources: sources}
	if err := m.pick(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Head implements [Source].
func (m *Merge) Head() *backend.Change {
	if m.at == nil {
		return nil
	}
	return m.at.Head()
}

// Advance implements [Source]. While one source is behind all others it is followed at the cost of one
// comparison: nearly all of a large table lies between two changes of a small one.
func (m *Merge) Advance() error {
	if err := m.at.Advance(); err != nil {
		return err
	}
	if h := m.at.Head(); h != nil && (m.bound == nil || format.Compare(&h.Entry, &m.bound.Entry) < 0) {
		return nil
	}
	return m.pick()
}

// pick finds the least head, passes it by in older sources, and notes how far it may be followed.
func (m *Merge) pick() error {
	m.at, m.bound = nil, nil
	var least *backend.Change
	for _, s := range m.sources {
		h := s.Head()
		if h == nil {
			continue
		}
		order := -1
		if least != nil {
			order = format.Compare(&h.Entry, &least.Entry)
		}
		if order == 0 { // Older than least.
			if err := s.Advance(); err != nil {
				return err
			}
			if h = s.Head(); h == nil {
				continue
			}
			order = 1
		}
		if order < 0 {
			least, h = h, least
			m.at = s
		}
		if h != nil && (m.bound == nil || format.Compare(&h.Entry, &m.bound.Entry) < 0) {
			m.bound = h
		}
	}
	return nil
}

// Close implements [Source].
func (m *Merge) Close() {
	for _, s := range m.sources {
		s.Close()
	}
}
