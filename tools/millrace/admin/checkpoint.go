// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/millrace-io/millrace/engine/inspect"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// stateOf shows the state of an address.
func (s *Server) stateOf(w http.ResponseWriter, r *http.Request) {
	e := s.watched.Load()
	if e == nil {
		s.closed().write(w)
		return
	}
	a, err := statefun.ParseAddress(r.URL.Query().Get("address"))
	if err != nil {
		malformed(err).write(w)
		return
	}
	state, err := e.State(r.Context(), a)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, store.StateOf(a, state))
}

// keeper is the engine, if it has a store; else it writes why there is nothing to see.
func (s *Server) keeper(w http.ResponseWriter) (e *watched, ok bool) {
	e = s.watched.Load()
	switch {
	case e == nil:
		s.closed().write(w)
	case e.store == nil:
		volatile.write(w)
	default:
		return e, true
	}
	return nil, false
}

// checkpoints lists the checkpoints that the store keeps.
func (s *Server) checkpoints(w http.ResponseWriter, r *http.Request) {
	e, ok := s.keeper(w)
	if !ok {
		return
	}
	s.reading.Lock() // It takes as much memory as the log of the store.
	defer s.reading.Unlock()
	list, err := e.store.List(r.Context())
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, list)
}

// inspect reads the newest checkpoint.
func (s *Server) inspect(w http.ResponseWriter, r *http.Request) {
	e, ok := s.keeper(w)
	if !ok {
		return
	}
	query := r.URL.Query()
	q := store.Question{Sum: query.Get("sum"), SumInFlight: query.Get("sum_in_flight")}
	if err := q.Validate(); err != nil {
		malformed(err).write(w)
		return
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	i, err := e.store.Inspect(r.Context(), q)
	if errors.Is(err, store.ErrQuestion) {
		malformed(err).write(w)
		return
	}
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, i)
}

// Created is the answer to POST /v1/checkpoint. Its JSON is an interface.
type Created struct {
	Epoch       uint64 `json:"epoch"`
	Generation  uint64 `json:"generation"`
	CreatedAtMS int64  `json:"created_at_ms"`
}

// create takes a checkpoint now. What it answers is that one, or already the one after it.
func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	e, ok := s.keeper(w)
	if !ok {
		return
	}
	err := e.Checkpoint(r.Context())
	var cp *inspect.Checkpoint
	if err == nil {
		cp, err = inspect.Read(r.Context(), e.store)
	}
	if err != nil {
		problemOf(err).write(w)
		return
	}
	s.logger.Info("an operator has a checkpoint taken", "epoch", cp.Epoch)
	writeJSON(w, Created{uint64(cp.Epoch), uint64(cp.Generation), cp.CreatedAt})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // The client is gone.
}
