// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// directory knows the function types of an application, by number and by name. Most are there from the
// start; those that the endpoint of their namespace serves are added when somebody first sends to them.
// What has a number keeps it. Reading takes no lock.
type directory struct {
	list   atomic.Pointer[[]*function] // By number.
	byType *xsync.MapOf[FunctionType, envelope.Function]
	absent map[FunctionType]envelope.Function // Those that no module provides. Written once.

	namespaces map[string]*namespace  // Those that are served as a whole. Written once.
	mu         sync.Mutex             // Held to add.
	told       func(namespace string) // Called when a namespace becomes full.
}

// namespace is one that an endpoint serves as a whole.
type namespace struct {
	endpoint *endpoint
	added    atomic.Int32 // Function types that have turned up. Written with mu held.
}

// addedMax bounds the function types of a namespace that turn up while the engine runs. Whoever can send can
// make them up, and each takes a table of some 40 KiB on every shard that it has instances on.
const addedMax = 256

func newDirectory(functions []*function, endpoints []endpoint, told func(namespace string)) *directory {
	d := &directory{
		byType: xsync.NewMapOf[FunctionType, envelope.Function](xsync.WithPresize(len(functions))),
		absent: map[FunctionType]envelope.Function{}, namespaces: map[string]*namespace{}, told: told,
	}
	d.list.Store(&functions)
	for number, f := range functions {
		if f.absent {
			d.absent[f.typ] = envelope.Function(number)
			continue
		}
		d.byType.Store(f.typ, envelope.Function(number))
	}
	for i := range endpoints {
		if ep := &endpoints[i]; !ep.Functions.Exact() {
			d.namespaces[ep.Functions.Namespace] = &namespace{endpoint: ep}
		}
	}
	return d
}

// all returns the function types by number.
func (d *directory) all() []*function { return *d.list.Load() }

// at returns a function type by its number.
func (d *directory) at(number envelope.Function) *function { return d.all()[number] }

// typeOf returns the name of a function type.
func (d *directory) typeOf(number envelope.Function) FunctionType { return d.at(number).typ }

// nameOf is typeOf for a number from a store, which may be none.
func (d *directory) nameOf(number envelope.Function) (t FunctionType, ok bool) {
	if int(number) >= len(d.all()) {
		return FunctionType{}, false
	}
	return d.typeOf(number), true
}

// known finds a function type by name of which there may be instances: also one that only the store knows.
func (d *directory) known(t FunctionType) (envelope.Function, bool) {
	if number, ok := d.absent[t]; ok {
		return number, true
	}
	return d.byType.Load(t)
}

// number finds a function type by name. The strings may be borrowed.
func (d *directory) number(t FunctionType) (envelope.Function, bool) {
	if number, ok := d.byType.Load(t); ok {
		return number, true
	}
	n := d.namespaces[t.Namespace]
	if n == nil || n.added.Load() == addedMax || (Address{Type: t, ID: "any"}).Validate() != nil {
		return 0, false
	}
	return d.add(t, n)
}

// full reports whether a function type is not known only because its namespace has too many, or the store.
func (d *directory) full(t FunctionType) bool {
	n := d.namespaces[t.Namespace]
	return n != nil && (n.added.Load() == addedMax || len(d.all()) == envelope.FunctionsMax)
}

func (d *directory) add(t FunctionType, n *namespace) (envelope.Function, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if number, ok := d.byType.Load(t); ok {
		return number, true
	}
	before := d.all()
	if n.added.Load() == addedMax || len(before) == envelope.FunctionsMax {
		return 0, false
	}
	if n.added.Add(1) == addedMax {
		d.told(strings.Clone(t.Namespace))
	}
	t = FunctionType{Namespace: strings.Clone(t.Namespace), Name: strings.Clone(t.Name)}
	list := append(before[:len(before):len(before)], elsewhere(t, n.endpoint))
	d.list.Store(&list)
	number := envelope.Function(len(before))
	d.byType.Store(t, number)
	return number, true
}

// elsewhere is a function type that an endpoint serves.
func elsewhere(t FunctionType, ep *endpoint) *function {
	return &function{typ: t, module: ep.module, endpoint: ep, states: &states{}}
}

// refuses says why a function that runs elsewhere cannot be sent a message: names and ids are text there, the
// sender's as well.
func (f *function) refuses(typename string, ids ...string) error {
	switch {
	case f.endpoint == nil:
		return nil
	case slices.ContainsFunc(ids, func(id string) bool { return !utf8.ValidString(id) }):
		return fmt.Errorf("%w: ids that %s, which runs elsewhere, is shown must be UTF-8: its own and its callers'", ErrMalformed, f.typ)
	case typename == "" || len(typename) > statefun.TypenameBytesMax || !utf8.ValidString(typename):
		return fmt.Errorf("%w: typename %q for %s, which runs elsewhere: want UTF-8 of 1 to %d bytes", ErrMalformed, clip(typename), f.typ, statefun.TypenameBytesMax)
	}
	return nil
}

// states are the state values that are known of a function type that runs elsewhere: those of the checkpoint,
// and those that it has asked for since the start. The same for all shards, so that a number means the same in
// all parts of a checkpoint.
type states struct {
	mu    sync.Mutex // Held to add.
	known atomic.Pointer[shard.Specs]
}

// specs returns the values by number.
func (s *states) specs() []shard.Spec {
	if known := s.known.Load(); known != nil {
		return known.List
	}
	return nil
}

// learn adds the values that are missing and returns all. A value that is known already must have the same
// type; that its time is another is ignored until the next start, as in StateFun.
func (s *states) learn(missing []remote.Spec) (*shard.Specs, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known.Load()
	if known == nil {
		known = shard.NewSpecs(nil)
	}
	list := slices.Clone(known.List)
	added := map[string]bool{}
	changed := false
	for _, m := range missing {
		n, ok := known.Number(m.Name)
		if ok && list[n].Typename != m.Typename {
			return nil, fmt.Errorf("it declares the state %q as a %s, which has been a %s: to change its type, rename it", clip(m.Name), clip(m.Typename), list[n].Typename)
		}
		if ok && list[n].Declared {
			continue
		}
		if err := validSpec(m); err != nil {
			return nil, err
		}
		switch {
		case ok: // The checkpoint knows it.
			list[n], changed = shard.Spec{Spec: m, Declared: true}, true
		case !added[m.Name]:
			added[m.Name], changed = true, true
			list = append(list, shard.Spec{Spec: m, Declared: true})
		}
		if len(list) > checkpoint.NumbersMax { // There may be a million, and others wait for the lock.
			return nil, fmt.Errorf("it declares %d state values, with those that the store knows: at most %d are possible", len(list), checkpoint.NumbersMax)
		}
	}
	if changed {
		known = shard.NewSpecs(list)
		s.known.Store(known)
	}
	return known, nil
}

func validSpec(s remote.Spec) error {
	switch {
	case s.Name == "" || len(s.Name) > statefun.NameBytesMax || !utf8.ValidString(s.Name):
		return fmt.Errorf("it declares a state with the name %q: want UTF-8 of 1 to %d bytes", clip(s.Name), statefun.NameBytesMax)
	case len(s.Typename) > statefun.TypenameBytesMax || !utf8.ValidString(s.Typename):
		return fmt.Errorf("it declares the state %q with the typename %q: want UTF-8 of at most %d bytes", s.Name, clip(s.Typename), statefun.TypenameBytesMax)
	case s.Expiry > remote.AfterInvoke || s.Expiry != remote.Never && s.TTL <= 0:
		return fmt.Errorf("it declares the state %q to expire after %d ms: want more than 0", s.Name, s.TTL)
	}
	return nil
}
