// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"strings"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

func checkNew(s *store) {
	if s.b.Generation() == 0 {
		s.Fatalf("generation is 0")
	}
	if cp, ok, err := s.b.Latest(s.ctx); ok || err != nil {
		s.Fatalf("latest is %+v, %v, %v; want none", cp, ok, err)
	}
	s.want("at first")
	if value, ok := s.get(0, "k"); ok {
		s.Fatalf("get yields %q", value)
	}
}

func checkOptions(s *store) {
	for _, opts := range []backend.Options{
		{Application: "", KeyGroups: 16},
		{Application: "a", KeyGroups: 0},
		{Application: "a", KeyGroups: -1},
		{Application: "a", KeyGroups: statefun.KeyGroupsMax + 1},
	} {
		if b, err := s.f.Open(s.ctx, s.location+"-refused", opts); err == nil {
			_ = b.Close()
			s.Fatalf("open with %+v has no error", opts)
		}
	}
	most := backend.Options{Application: "a", KeyGroups: statefun.KeyGroupsMax}
	for i, opts := range []backend.Options{{Application: "a", KeyGroups: 1}, most} {
		other := open(s.tb, s.f, s.location+"-taken"+string(rune('0'+i)), opts)
		last := statefun.KeyGroup(opts.KeyGroups - 1)
		other.commit(1, part(put(last, "k", "v")))
		if value, ok := other.get(last, "k"); value != "v" || !ok {
			s.Fatalf("with %+v: get yields %q, %v", opts, value, ok)
		}
		other.close()
	}
}

func checkCommit(s *store) {
	s.commit(1, part(put(1, "a", "1"), put(2, "b", "2")), part(put(3, "c", "3")))
	s.want("after epoch 1", item{1, "a", "1"}, item{2, "b", "2"}, item{3, "c", "3"})

	s.commit(2, part(put(1, "a", "one"), del(2, "b"), del(4, "never there")))
	s.want("after epoch 2", item{1, "a", "one"}, item{3, "c", "3"})
	if value, ok := s.get(2, "b"); ok {
		s.Fatalf("a deleted key is there: %q", value)
	}

	s.commit(3) // Nothing has changed: an epoch without parts, and one with an empty part.
	s.commit(4, part())
	s.want("after empty epochs", item{1, "a", "one"}, item{3, "c", "3"})

	s.commit(5, part(del(1, "a"), del(3, "c")))
	s.want("after all is deleted")
	s.commit(6, part(put(1, "a", "again")))
	s.want("after a deleted key is put", item{1, "a", "again"})
}

func checkLaterWins(s *store) {
	s.commit(1,
		part(put(1, "twice", "first"), put(1, "twice", "second"), put(1, "gone", "1"), del(1, "gone")),
		part(del(1, "back"), put(1, "back", "1"), put(2, "parts", "first"), put(2, "gone", "1")),
		part(put(2, "parts", "second"), del(2, "gone")))
	s.want("within one epoch", item{1, "back", "1"}, item{1, "twice", "second"}, item{2, "parts", "second"})

	s.commit(2, part(del(1, "back"), put(1, "back", "2"), put(1, "twice", "3"), del(1, "twice")))
	s.want("on top of another", item{1, "back", "2"}, item{2, "parts", "second"})
}

func checkGroups(s *store) {
	s.commit(1, part(put(1, "k", "1"), put(2, "k", "2"), put(15, "k", "15")))
	s.want("after puts", item{1, "k", "1"}, item{2, "k", "2"}, item{15, "k", "15"})
	s.commit(2, part(del(2, "k")))
	s.want("after a delete", item{1, "k", "1"}, item{15, "k", "15"})
	// Neither has a key group outside the application's, nor is asking for it wrong.
	for _, group := range []statefun.KeyGroup{3, 16, 257, 1<<16 - 1} {
		if value, ok := s.get(group, "k"); ok {
			s.Fatalf("key group %d has %q", group, value)
		}
	}
}

func checkBytes(s *store) {
	items := []item{
		{0, "", "the empty key"},
		{0, "\x00", ""},
		{0, "\x00\x00", "zeros"},
		{0, "a", "a prefix of the next"},
		{0, "a\x00", "\x00"},
		{0, "ab", ""},
		{0, "\xff", "not UTF-8: \xff\xfe"},
		{0, "\xff\xff", "\xff"},
		{1, strings.Repeat("long key ", 1000), "v"},
		{2, "long value", strings.Repeat("0123456789abcdef", 1<<17)},
		{15, "", ""},
	}
	var changes []change
	for _, i := range items {
		changes = append(changes, put(i.group, i.key, i.value))
	}
	sortItems(items)
	s.commit(1, part(changes...))
	s.want("after puts", items...)

	// Values that shrink and grow in place must not leave a byte of the old one.
	s.commit(2, part(put(0, "a", ""), put(0, "ab", strings.Repeat("grown", 10000)), put(2, "long value", "short")))
	for i := range items {
		switch items[i].key {
		case "a":
			items[i].value = ""
		case "ab":
			items[i].value = strings.Repeat("grown", 10000)
		case "long value":
			items[i].value = "short"
		}
	}
	s.want("after other lengths", items...)
}

func checkLatest(s *store) {
	s.commit(1, part(put(1, "a", "1")))
	s.wantLatest("after epoch 1", s.checkpoint(1))
	s.commit(2)
	s.wantLatest("after an empty epoch", s.checkpoint(2))

	bare := backend.Checkpoint{
		Application: options.Application, Generation: s.b.Generation(), Epoch: 3, KeyGroups: options.KeyGroups,
	}
	if err := s.b.Commit(s.ctx, bare, nil); err != nil {
		s.Fatalf("commit without names and sources: %v", err)
	}
	s.wantLatest("without names and sources", bare)
}

func checkGet(s *store) {
	s.commit(1, part(put(1, "a", "value"), put(1, "empty", "")))
	for _, tt := range []struct {
		key, dst, want string
		ok             bool
	}{
		{key: "a", dst: "", want: "value", ok: true},
		{key: "a", dst: "head ", want: "head value", ok: true},
		{key: "empty", dst: "", want: "", ok: true},
		{key: "empty", dst: "head", want: "head", ok: true},
		{key: "absent", dst: "", want: ""},
		{key: "absent", dst: "head", want: "head"},
	} {
		for _, spare := range []int{0, 100} {
			dst := append(make([]byte, 0, len(tt.dst)+spare), tt.dst...)
			got, ok, err := s.b.Get(s.ctx, 1, []byte(tt.key), dst)
			if string(got) != tt.want || ok != tt.ok || err != nil || string(dst) != tt.dst {
				s.Fatalf("get %q to %q: %q, %v, %v; want %q, %v", tt.key, tt.dst, got, ok, err, tt.want, tt.ok)
			}
			scribble(got) // It belongs to the caller.
		}
	}
	s.want("after the values were scribbled over", item{1, "a", "value"}, item{1, "empty", ""})
}

func checkBorrowed(s *store) {
	// Two keys and values of equal length in each part, so that bytes kept by mistake read as the other's.
	s.commit(1, part(put(1, "a", "1"), put(1, "b", "2")))
	s.commit(2, part(put(1, "a", "3"), put(1, "c", "4"), del(1, "b")))
	s.want("after the parts were scribbled over", item{1, "a", "3"}, item{1, "c", "4"})
	s.wantLatest("after the checkpoint was scribbled over", s.checkpoint(2))
}

func checkClose(s *store) {
	s.commit(1, part(put(1, "a", "1")))
	if err := s.b.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	if _, _, err := s.b.Latest(s.ctx); err == nil {
		s.Fatalf("latest after close has no error")
	}
	if items, err := s.tryScan(everything); err == nil {
		s.Fatalf("scan after close yields %v and no error", items)
	}
	if _, ok, err := s.tryGet(1, "a"); ok || err == nil {
		s.Fatalf("get after close has no error")
	}
	if err := s.tryCommit(s.ctx, 2); err == nil {
		s.Fatalf("commit after close has no error")
	}
}
