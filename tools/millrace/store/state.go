// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/inspect"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/values"
)

// Address is an address as JSON has it.
type Address struct {
	Namespace string `json:"namespace"`
	Type      string `json:"type"`
	ID        string `json:"id"`
	IDBytes   []byte `json:"id_bytes,omitempty"` // The id, where it is no UTF-8 and ID cannot be it.
}

// AddressOf returns a as JSON has it.
func AddressOf(a statefun.Address) Address {
	j := Address{Namespace: a.Type.Namespace, Type: a.Type.Name, ID: a.ID}
	if !utf8.ValidString(a.ID) {
		j.IDBytes = []byte(a.ID)
	}
	return j
}

// State is what an address has kept as of an epoch. Its JSON is an interface.
type State struct {
	Address Address      `json:"address"`
	Epoch   uint64       `json:"epoch"`
	States  []StateValue `json:"states"`
}

// StateValue is a state value of an address.
type StateValue struct {
	Name        string  `json:"name"`
	Typename    string  `json:"typename"`
	Bytes       []byte  `json:"bytes"`
	Text        *string `json:"text"`          // As people read it; null where the bytes are none.
	ExpiresAtMS *int64  `json:"expires_at_ms"` // Since 1970; null: it does not expire.
}

// Expiring reports when the value expires, if it does.
func (v StateValue) Expiring() (at time.Time, ok bool) {
	if v.ExpiresAtMS == nil {
		return time.Time{}, false
	}
	return time.UnixMilli(*v.ExpiresAtMS).UTC(), true
}

func stateValue(name, typename string, value []byte, expires time.Time) StateValue {
	v := StateValue{Name: name, Typename: typename, Bytes: append([]byte{}, value...)}
	if text, ok := values.Text(statefun.TypedValue{Typename: typename, Value: value}); ok {
		v.Text = &text
	}
	if !expires.IsZero() {
		ms := expires.UnixMilli()
		v.ExpiresAtMS = &ms
	}
	return v
}

// StateOf returns the state of an address as a running engine tells it.
func StateOf(a statefun.Address, s engine.State) State {
	all := State{Address: AddressOf(a), Epoch: uint64(s.Epoch), States: []StateValue{}}
	for _, v := range s.Values {
		all.States = append(all.States, stateValue(v.Name, v.Typename, v.Value, v.ExpiresAt))
	}
	return all
}

// State returns the state of an address as the newest checkpoint has it. What has expired at a time is left out.
func (s *Shared) State(ctx context.Context, a statefun.Address, now time.Time) (State, error) {
	cp, err := inspect.Read(ctx, s.Backend)
	if err != nil {
		return State{}, err
	}
	in, _, err := cp.Instance(ctx, a)
	if err != nil {
		return State{}, fmt.Errorf("state of %s: %w", a, err)
	}
	all := State{Address: AddressOf(a), Epoch: uint64(cp.Epoch), States: []StateValue{}}
	for _, v := range in.Values {
		if expires := v.Expires(); expires.IsZero() || expires.After(now) {
			all.States = append(all.States, stateValue(v.Name, v.Typename, v.Bytes, expires))
		}
	}
	return all, nil
}
