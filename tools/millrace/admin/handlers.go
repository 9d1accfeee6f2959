// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// typenameHeader names the type of an answer.
const typenameHeader = "Millrace-Typename"

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	state := s.state.Load()
	if state.Name != "ready" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = fmt.Fprintln(w, state.Name)
}

func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		*state
		Stats engine.Stats `json:"stats"`
	}{state: s.state.Load()}
	if e := s.watched.Load(); e != nil {
		answer.Stats = (*e).Stats()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // The client is gone.
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	to, m, p := message(w, r) // First: who is slow to send must not keep the door from closing.
	if p != nil {
		p.write(w)
		return
	}
	in, leave, ok := s.door.enter()
	if !ok {
		s.closed().write(w)
		return
	}
	defer leave()
	if p := problemOf(in.Send(r.Context(), to, m, connector.Delivery{})); p != nil {
		p.write(w)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	to, m, p := message(w, r)
	if p != nil {
		p.write(w)
		return
	}
	in, leave, ok := s.door.enter()
	if !ok {
		s.closed().write(w)
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	defer context.AfterFunc(s.door.base, cancel)()
	answer, err := in.Call(ctx, caller, to, m, connector.Delivery{})
	if p := problemOf(err); p != nil {
		p.write(w)
		return
	}
	w.Header().Set(typenameHeader, answer.Typename)
	w.Header().Set("Content-Type", "application/octet-stream") // Whatever it is, no browser shows it.
	_, _ = w.Write(answer.Value)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	e := s.watched.Load()
	if e == nil {
		s.closed().write(w)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		malformed(err).write(w)
		return
	}
	skip, err := strconv.ParseBool(query.Get("skip"))
	if err != nil && query.Has("skip") {
		malformed(errors.New("skip: want true or false")).write(w)
		return
	}
	if query.Has("all") {
		s.resumeAll(w, r, *e, query.Get("all"), skip)
		return
	}
	a, err := statefun.ParseAddress(query.Get("address"))
	if err != nil {
		malformed(err).write(w)
		return
	}
	act, what := verb(*e, skip)
	if p := problemOf(act(r.Context(), a)); p != nil {
		p.write(w)
		return
	}
	s.logger.Info("an operator has an address go on", "how", what, "function", a.Type.String(), "id", clip(a.ID))
	w.WriteHeader(http.StatusAccepted)
}

// verb is what is done to a suspended address, and what the log calls it.
func verb(e Engine, skip bool) (act func(context.Context, engine.Address) error, name string) {
	if skip {
		return e.Skip, "skip"
	}
	return e.Resume, "resume"
}

// message reads the address and the value of a request.
func message(w http.ResponseWriter, r *http.Request) (to statefun.Address, m statefun.TypedValue, p *problem) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return to, m, malformed(err)
	}
	if to, err = statefun.ParseAddress(query.Get("address")); err != nil {
		return to, m, malformed(err)
	}
	m.Typename = query.Get("type")
	if err := statefun.ValidateTypename(m.Typename); err != nil {
		return to, m, malformed(err)
	}
	m.Value, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	// The deadline ends with the body: later it would end the request's context, which calls wait with.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return to, m, &problem{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is over %d bytes", bodyBytesMax), "send less"}
	}
	if err != nil {
		return to, m, malformed(err)
	}
	return to, m, nil
}
