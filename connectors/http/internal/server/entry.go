// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// withoutCode is the text of an error about something malformed. Each layer says that it is, and so does the code
// beside the text.
func withoutCode(err error) string {
	const code = "malformed: "
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), code+code, code), code)
}

// Refusal translates what the engine refuses. to is where the message was meant to go.
func Refusal(err error, to statefun.FunctionType) *Problem {
	switch {
	case errors.Is(err, connector.ErrUnknownFunction):
		return &Problem{
			Status: fasthttp.StatusNotFound, Code: "unknown_function_type",
			Message: "no module provides the function type " + Printable(to.String()),
			Hint:    "check the namespace and the type in the path against the modules that run",
		}
	case errors.Is(err, connector.ErrUnknownIngress):
		return &Problem{
			Status: fasthttp.StatusNotFound, Code: "unknown_ingress",
			Message: "no router is bound to this ingress",
			Hint:    "bind a router to the ingress's id, or name an address in the path",
		}
	case errors.Is(err, connector.ErrUnknownMessage):
		return &Problem{
			Status: fasthttp.StatusUnsupportedMediaType, Code: "message_type_not_accepted",
			Message: Printable(err.Error()), Hint: "send a type that the function accepts",
		}
	case errors.Is(err, connector.ErrKeyReused):
		return &Problem{
			Status: fasthttp.StatusUnprocessableEntity, Code: "idempotency_key_reused",
			Message: "the idempotency key has been used for another message to this address",
			Hint:    "use a new key for each message, and the same one only to send that message again",
		}
	case errors.Is(err, connector.ErrMalformed):
		return &Problem{Status: fasthttp.StatusBadRequest, Code: "malformed", Message: Printable(withoutCode(err))}
	case errors.Is(err, connector.ErrTooLarge):
		return &Problem{
			Status: fasthttp.StatusRequestEntityTooLarge, Code: "too_large",
			Message: Printable(err.Error()), Hint: "send a shorter id or a smaller value",
		}
	case errors.Is(err, connector.ErrKeysFull): // Before ErrNoCredit, which it is too.
		p := unavailable("idempotency_keys_full", "the runtime keeps as many idempotency keys as it may; the message was not taken")
		p.Hint = "there is room when the idempotencyWindow of earlier keys is over: a shorter window, or more shards, make more of it"
		return p
	case errors.Is(err, connector.ErrNoCredit):
		return unavailable("out_of_credit", "the runtime has more messages waiting than it may take")
	case errors.Is(err, connector.ErrSuspended):
		return unavailable("suspended", "the address is suspended, and more than enough waits there already")
	case errors.Is(err, connector.ErrClosing):
		return closing()
	case errors.Is(err, context.Canceled): // In the middle of a call, which Close has given up.
		p := closing()
		p.Hint = "the message was accepted, its answer is lost; " + laterHint + " if it may count twice"
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{
			Status: fasthttp.StatusGatewayTimeout, Code: "call_timeout",
			Message: "the function sent no answer in time",
			Hint:    "the message was accepted; check that the function replies to its caller",
		}
	default:
		return &Problem{
			Status: fasthttp.StatusInternalServerError, Code: "internal",
			Message: "the runtime failed; its log says why", Cause: err,
		}
	}
}
