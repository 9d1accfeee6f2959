// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/inspect"
)

// problem is an answer that is not what the client hoped for.
type problem struct {
	status  int
	code    string // What programs branch on: never changes.
	message string // What happened, for people.
	hint    string // What to do about it.
}

// body is a problem as it is written.
type body struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	} `json:"error"`
}

func malformed(err error) *problem {
	return &problem{http.StatusBadRequest, "malformed", err.Error(), "see millrace send --help"}
}

// volatile is the answer when somebody wants to see a checkpoint of an engine that keeps none.
var volatile = &problem{
	http.StatusNotFound, "no_store", "checkpoints are not kept",
	"run it with --backend file:///directory, or memory:kept; the state of an address can be asked for in any case",
}

// closed is the answer while the engine takes nothing.
func (s *Server) closed() *problem {
	if s.state.Load().Name == draining.Name {
		return problemOf(connector.ErrClosing)
	}
	return &problem{http.StatusServiceUnavailable, "starting", "the application is not ready yet", "try again later"}
}

// problemOf translates what the engine refuses; nil for nil.
func problemOf(err error) *problem {
	of := func(status int, code, hint string) *problem { return &problem{status, code, err.Error(), hint} }
	switch {
	case err == nil:
		return nil
	case errors.Is(err, connector.ErrUnknownFunction), errors.Is(err, engine.ErrNoFunction):
		return of(http.StatusNotFound, "unknown_function_type", "check the address against the modules that run")
	case errors.Is(err, connector.ErrUnknownMessage):
		return of(http.StatusUnsupportedMediaType, "message_type_not_accepted", "send a type that the function accepts")
	case errors.Is(err, connector.ErrKeyReused):
		return of(http.StatusUnprocessableEntity, "idempotency_key_reused", "use a new key for each message, and the same one only to send that message again")
	case errors.Is(err, inspect.ErrNone), errors.Is(err, engine.ErrNoCheckpoint):
		return of(http.StatusNotFound, "no_checkpoint", "try again when an epoch has been committed")
	case errors.Is(err, connector.ErrMalformed), errors.Is(err, engine.ErrMalformed):
		p := of(http.StatusBadRequest, "malformed", "check the address and the value against its type")
		// Each layer says that it is, and so does the code.
		p.message = strings.TrimPrefix(strings.ReplaceAll(p.message, "malformed: malformed: ", "malformed: "), "malformed: ")
		return p
	case errors.Is(err, connector.ErrTooLarge):
		return of(http.StatusRequestEntityTooLarge, "too_large", "send a shorter id or a smaller value")
	case errors.Is(err, connector.ErrKeysFull): // Before ErrNoCredit, which it is too.
		return of(http.StatusServiceUnavailable, "idempotency_keys_full", "there is room when the windows of earlier keys are over")
	case errors.Is(err, connector.ErrNoCredit):
		return of(http.StatusServiceUnavailable, "out_of_credit", "try again later")
	case errors.Is(err, connector.ErrSuspended):
		return of(http.StatusServiceUnavailable, "suspended", "millrace resume has it go on")
	case errors.Is(err, connector.ErrClosing), errors.Is(err, context.Canceled), errors.Is(err, os.ErrClosed):
		return &problem{http.StatusServiceUnavailable, "closing", "the application is shutting down", "try again later"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{
			http.StatusGatewayTimeout, "call_timeout", "the message was accepted, but no answer came in time",
			"check that the function replies to its caller",
		}
	}
	return of(http.StatusInternalServerError, "internal", "see the log")
}

func (p *problem) write(w http.ResponseWriter) {
	var b body
	b.Error.Code, b.Error.Message, b.Error.Hint = p.code, p.message, p.hint
	w.Header().Set("Content-Type", "application/json")
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(b) // The client is gone.
}

// clip keeps what comes from outside short in the log, which quotes it.
func clip(s string) string { return clipTo(s, 80) }

func clipTo(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
