// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The engine puts everything again, a little in each epoch, and says how far it is. Whatever a store makes of that, it
// holds what it would hold otherwise; and it may have to make something of it, if its logs are short.
func checkLaps(s *store) {
	const epochs, keys = 60, 30
	m, err := NewModel(options)
	if err != nil {
		s.Fatalf("model: %v", err)
	}
	model := &store{tb: s.tb, ctx: s.ctx, b: m}
	var began []item // What a scan is still to yield: what there was when it began.
	next, stop := func() (backend.Entry, error, bool) { return backend.Entry{}, nil, false }, func() {}
	defer func() { stop() }()
	yields := func() (more bool) {
		e, err, more := next()
		if err != nil {
			s.Fatalf("scan: %v", err)
		}
		began = slices.DeleteFunc(began, func(i item) bool { return i == item{e.Group, string(e.Key), string(e.Value)} })
		return more
	}

	for epoch := statefun.Epoch(1); epoch <= epochs; epoch++ {
		var changes []change
		for i := epoch % 3; i < keys; i += 3 {
			changes = append(changes, put(statefun.KeyGroup(i%16), fmt.Sprint(i), strings.Repeat(fmt.Sprint(epoch, " "), 30)))
		}
		// What is there for a few epochs only is gone when nobody puts it any more.
		once := func(epoch statefun.Epoch) (statefun.KeyGroup, string) {
			return statefun.KeyGroup(epoch % 16), fmt.Sprint("once ", epoch)
		}
		group, key := once(epoch)
		changes = append(changes, put(group, key, "v"))
		group, key = once(epoch - min(epoch, 4))
		p := part(append(changes, del(group, key))...)

		s.since, _ = m.store.oldest(decoded([]backend.Part{p}), epoch)
		model.since = s.since
		model.commit(epoch, p)
		s.commit(epoch, p)
		switch epoch % 20 {
		case 0:
			for yields() {
			}
			if len(began) > 0 {
				s.Fatalf("a scan beside commits does not yield %v", began)
			}
			if s.f.Durable {
				s.reopen()
			}
		case 10:
			began = model.scan(everything)
			next, stop = iter.Pull2(s.b.Scan(s.ctx, everything))
			yields()
		}
		if epoch%5 == 0 {
			s.want(fmt.Sprintf("after epoch %d", epoch), model.scan(everything)...)
		}
	}
}
