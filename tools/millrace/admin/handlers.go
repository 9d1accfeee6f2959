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
	"strings"
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
		answer.Stats = e.Stats()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // The client is gone.
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	m, p := readMessage(w, r) // First: who is slow to send must not keep the door from closing.
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
	ctx, end := s.wait(r)
	defer end()
	err := in.Send(ctx, m.to, m.value, m.delivery)
	p = problemOf(err)
	if m.delivery.Durable {
		p = unsure(p, err)
	}
	if p != nil {
		p.write(w)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// unsure is what is said of a message of which nobody knows whether it will count.
func unsure(p *problem, err error) *problem {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.status, p.code = http.StatusServiceUnavailable, "not_durable_yet"
		p.message = "no commit in time: the message may be in a later one, or in none"
	case p == nil || p.code != "closing":
		return p
	default:
		p.message += "; the message may have been accepted"
	}
	p.hint = "sent again with the same key it counts once, and without a key it may count twice"
	return p
}

// wait bounds how long an answer may be waited for: until the door gives up on those who wait, too.
func (s *Server) wait(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	stop := context.AfterFunc(s.door.base, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	m, p := readMessage(w, r)
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
	ctx, end := s.wait(r)
	defer end()
	answer, err := in.Call(ctx, caller, m.to, m.value, m.delivery)
	if p := problemOf(err); p != nil {
		if p.code == "closing" {
			p = unsure(p, err)
		}
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
		s.resumeAll(w, r, e, query.Get("all"), skip)
		return
	}
	a, err := statefun.ParseAddress(query.Get("address"))
	if err != nil {
		malformed(err).write(w)
		return
	}
	act, what := verb(e, skip)
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

// message is what send and call are given.
type message struct {
	to       statefun.Address
	value    statefun.TypedValue
	delivery connector.Delivery
}

const (
	// keyScope is what keys are put behind, so that nobody else has the same.
	keyScope = "io.millrace.admin\x00"
	keyMax   = 255
	// keyWindow is how long a key is remembered.
	keyWindow = 24 * time.Hour
)

// readMessage reads the parameters and the value of a request.
func readMessage(w http.ResponseWriter, r *http.Request) (m message, p *problem) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return m, malformed(err)
	}
	if m.to, err = statefun.ParseAddress(query.Get("address")); err != nil {
		return m, malformed(err)
	}
	m.value.Typename = query.Get("type")
	if err := statefun.ValidateTypename(m.value.Typename); err != nil {
		return m, malformed(err)
	}
	if m.delivery, err = readDelivery(query); err != nil {
		return m, malformed(err)
	}
	m.value.Value, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	// The deadline ends with the body: later it would end the request's context, which calls wait with.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return m, &problem{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is over %d bytes", bodyBytesMax), "send less"}
	}
	if err != nil {
		return m, malformed(err)
	}
	return m, nil
}

func readDelivery(query url.Values) (d connector.Delivery, err error) {
	if query.Has("durable") {
		if d.Durable, err = strconv.ParseBool(query.Get("durable")); err != nil {
			return d, errors.New("durable: want true or false")
		}
	}
	if query.Has("key") {
		key := query.Get("key")
		if err := ValidateKey(key); err != nil {
			return d, err
		}
		d.Key, d.Window = []byte(keyScope+key), keyWindow
	}
	return d, nil
}

// ValidateKey reports why a text cannot be the key of a message, or nil.
func ValidateKey(key string) error {
	if key == "" || len(key) > keyMax || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("key: %q, want 1 to %d printable ASCII characters", clip(key), keyMax)
	}
	return nil
}
