// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
)

const (
	headerIdempotency = "Idempotency-Key"
	idempotencyMax    = 255
)

// delivery says what a client is promised, and by which key its message is known.
func (in *Ingress) delivery(h *fasthttp.RequestHeader) (connector.Delivery, *server.Problem) {
	d := connector.Delivery{Durable: in.durable}
	keys := h.PeekAll(headerIdempotency)
	if len(keys) == 0 {
		return d, nil
	}
	if len(keys) > 1 || !validKey(keys[0]) {
		return d, &server.Problem{
			Status: fasthttp.StatusBadRequest, Code: "bad_idempotency_key",
			Message: "the header " + headerIdempotency + " is not as it should be",
			Hint:    fmt.Sprintf("give it once, with 1 to %d printable ASCII characters", idempotencyMax),
		}
	}
	d.Key = append(in.scope[:len(in.scope):len(in.scope)], keys[0]...)
	d.Window = in.c.IdempotencyWindow
	return d, nil
}

func validKey(key []byte) bool {
	for _, c := range key {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return 1 <= len(key) && len(key) <= idempotencyMax
}

// refusal translates an error of the engine. Of some that come while a client waits for more than acceptance,
// nobody knows whether the message will count: the answer says how to find out.
func refusal(err error, t target, d connector.Delivery) *server.Problem {
	p := server.Refusal(err, t.to.Type)
	keyed := len(d.Key) > 0
	switch late := errors.Is(err, context.DeadlineExceeded); {
	case t.verb != call && !d.Durable:
		return p
	case late && t.verb == call:
		if keyed {
			p.Hint += "; the same " + headerIdempotency + " gets the answer once there is one"
		}
		return p
	case late:
		p.Status, p.Code = fasthttp.StatusServiceUnavailable, "not_durable_yet"
		p.Message = "no commit in time: the message may be in a later one, or in none"
	case errors.Is(err, connector.ErrClosing), errors.Is(err, context.Canceled):
		p.Message += "; the message may have been accepted"
	default:
		return p
	}
	if keyed {
		p.Hint = "send the request again after the seconds that Retry-After gives, with the same " + headerIdempotency + ": it counts once"
	} else {
		p.Hint = "sent again, it may count twice; requests with the header " + headerIdempotency + " count once"
	}
	return p
}
