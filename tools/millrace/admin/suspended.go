// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/statefun"
)

// suspendedMax bounds a list of addresses: with a function that is broken, all of its addresses are suspended.
const suspendedMax = 10_000

// Suspended is the answer of /v1/suspended: the addresses that have been suspended longest, and how many more there
// are. Its JSON is an interface.
type Suspended struct {
	Addresses []SuspendedAddress `json:"addresses"`
	More      int                `json:"more"`
}

// SuspendedAddress is an address that waits to be resumed.
type SuspendedAddress struct {
	Namespace string `json:"namespace"`
	Type      string `json:"type"`
	ID        string `json:"id"`
	IDBytes   []byte `json:"id_bytes,omitempty"` // The id, where it is no UTF-8 and ID cannot be it.
	SinceMS   int64  `json:"since_ms"`           // Since 1970.
	Error     string `json:"error"`              // What the last attempt ended with.
}

// Address returns the address.
func (a SuspendedAddress) Address() statefun.Address {
	id := a.ID
	if len(a.IDBytes) > 0 {
		id = string(a.IDBytes)
	}
	return statefun.Address{Type: statefun.FunctionType{Namespace: a.Namespace, Name: a.Type}, ID: id}
}

// Since returns since when the address is suspended.
func (a SuspendedAddress) Since() time.Time { return time.UnixMilli(a.SinceMS).UTC() }

func suspendedOf(all []engine.SuspendedAddress) Suspended {
	slices.SortFunc(all, func(a, b engine.SuspendedAddress) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Address.Type.Namespace, b.Address.Type.Namespace),
			cmp.Compare(a.Address.Type.Name, b.Address.Type.Name), cmp.Compare(a.Address.ID, b.Address.ID))
	})
	shown := all[:min(len(all), suspendedMax)]
	list := Suspended{Addresses: make([]SuspendedAddress, len(shown)), More: len(all) - len(shown)}
	for i, s := range shown {
		a := SuspendedAddress{Namespace: s.Address.Type.Namespace, Type: s.Address.Type.Name, ID: s.Address.ID, SinceMS: s.Since.UnixMilli()}
		if !utf8.ValidString(a.ID) {
			a.IDBytes = []byte(a.ID)
		}
		if s.Err != nil {
			a.Error = clipTo(s.Err.Error(), 300)
		}
		list.Addresses[i] = a
	}
	return list
}

func (s *Server) suspended(w http.ResponseWriter, _ *http.Request) {
	e := s.watched.Load()
	if e == nil {
		s.closed().write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(suspendedOf(e.Suspended())) // The client is gone.
}

// resumed is the answer of /v1/resume for a function type.
type resumed struct {
	Addresses int `json:"addresses"` // That have been told to go on.
}

// resumeAll has all suspended addresses of a function type go on.
func (s *Server) resumeAll(w http.ResponseWriter, r *http.Request, e Engine, of string, skip bool) {
	t, err := statefun.ParseFunctionType(of)
	if err != nil {
		malformed(err).write(w)
		return
	}
	act, what := verb(e, skip)
	done := 0
	for _, a := range e.Suspended() {
		if a.Address.Type != t {
			continue
		}
		if p := problemOf(act(r.Context(), a.Address)); p != nil {
			p.message = fmt.Sprintf("after %d addresses: %s", done, p.message)
			p.write(w)
			return
		}
		done++
	}
	s.logger.Info("an operator has all suspended addresses of a function go on", "how", what, "function", t.String(), "addresses", done)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(resumed{done}) // The client is gone.
}
