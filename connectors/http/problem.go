// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/connector"
)

// problem is an answer that is not what the client hoped for.
type problem struct {
	status  int
	code    string // What programs branch on: never changes.
	message string // What happened, for people.
	hint    string // What to do about it.
	allow   string // For 405.
	cause   error  // For the log; set only when it is not the client's doing.
}

const (
	pathHint = "PUT or POST /<namespace>/<type>/<id>, POST /call/<namespace>/<type>/<id>, or /ingress; " +
		"a slash inside a segment is written %2F"
	typeHint = "send application/vnd.<typename> with the raw value, text/plain for io.statefun.types/string, " +
		"or application/json with the header Millrace-Typename"
	laterHint = "send the request again after the seconds that Retry-After gives"
	sizeHint  = "send less; maxBodyBytes of the ingress is the limit"
)

func badPath(message, hint string) *problem {
	return &problem{status: fasthttp.StatusBadRequest, code: "bad_path", message: message, hint: hint}
}

func badType(message string) *problem {
	return &problem{
		status: fasthttp.StatusUnsupportedMediaType, code: "unsupported_content_type",
		message: message, hint: typeHint,
	}
}

func badRequest(message string) *problem {
	return &problem{status: fasthttp.StatusBadRequest, code: "bad_request", message: message}
}

func bodyTooLarge(most int) *problem {
	return &problem{
		status: fasthttp.StatusRequestEntityTooLarge, code: "body_too_large",
		message: fmt.Sprintf("the body is over %d bytes", most), hint: sizeHint,
	}
}

func unavailable(code, message string) *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, code: code, message: message, hint: laterHint}
}

func closing() *problem { return unavailable("closing", "the runtime is shutting down") }

// ofEntry translates what the engine refuses.
func ofEntry(err error, t target) *problem {
	switch {
	case errors.Is(err, connector.ErrUnknownFunction):
		return &problem{
			status: fasthttp.StatusNotFound, code: "unknown_function_type",
			message: "no module provides the function type " + printable(t.to.Type.String()),
			hint:    "check the namespace and the type in the path against the modules that run",
		}
	case errors.Is(err, connector.ErrUnknownIngress):
		return &problem{
			status: fasthttp.StatusNotFound, code: "unknown_ingress",
			message: "no router is bound to this ingress",
			hint:    "bind a router to the ingress's id, or name an address in the path",
		}
	case errors.Is(err, connector.ErrUnknownMessage):
		p := badType(printable(err.Error()))
		p.code = "message_type_not_accepted"
		p.hint = "send a type that the function accepts"
		return p
	case errors.Is(err, connector.ErrMalformed):
		return &problem{status: fasthttp.StatusBadRequest, code: "malformed", message: printable(err.Error())}
	case errors.Is(err, connector.ErrTooLarge):
		return &problem{
			status: fasthttp.StatusRequestEntityTooLarge, code: "too_large",
			message: printable(err.Error()), hint: "send a shorter id or a smaller value",
		}
	case errors.Is(err, connector.ErrNoCredit):
		return unavailable("out_of_credit", "the runtime has more messages waiting than it may take")
	case errors.Is(err, connector.ErrSuspended):
		return unavailable("suspended", "the address is suspended, and more than enough waits there already")
	case errors.Is(err, connector.ErrClosing):
		return closing()
	case errors.Is(err, context.Canceled): // In the middle of a call, which Close has given up.
		p := closing()
		p.hint = "the message was accepted, its answer is lost; " + laterHint + " if it may count twice"
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{
			status: fasthttp.StatusGatewayTimeout, code: "call_timeout",
			message: "the function sent no answer in time",
			hint:    "the message was accepted; check that the function replies to its caller",
		}
	default:
		return &problem{
			status: fasthttp.StatusInternalServerError, code: "internal",
			message: "the runtime failed; its log says why", cause: err,
		}
	}
}

// ofTransport translates what goes wrong before or while a request is read.
func ofTransport(err error, bodyMax int) *problem {
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		return &problem{
			status: fasthttp.StatusRequestHeaderFieldsTooLarge, code: "header_too_large",
			message: fmt.Sprintf("the head of the request is over %d bytes", headBytesMax),
			hint:    "send fewer or shorter headers, or a shorter id",
		}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return bodyTooLarge(bodyMax)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{
			status: fasthttp.StatusRequestTimeout, code: "request_timeout",
			message: "the request did not arrive in time", hint: "send the whole request without pauses",
		}
	default:
		return badRequest("the request is not well-formed HTTP/1.1")
	}
}

// retryAfter is what Retry-After says: credit comes back within an epoch, a restart takes little longer.
const retryAfter = "1"

// json is the body of the answer.
func (p *problem) json() []byte {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // Hints hold <…>.
	if err := enc.Encode(map[string]body{"error": {p.code, p.message, p.hint}}); err != nil {
		panic("http: a problem that is not JSON: " + err.Error())
	}
	return b.Bytes()
}

// write makes r the answer.
func (p *problem) write(r *fasthttp.Response) {
	r.ResetBody()
	r.SetStatusCode(p.status)
	r.Header.SetContentType("application/json")
	r.SetBodyRaw(p.json())
	if p.allow != "" {
		r.Header.Set(fasthttp.HeaderAllow, p.allow)
	}
	if p.status == fasthttp.StatusServiceUnavailable {
		r.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	}
}

// printable makes text from outside fit to be shown: short, on one line, nothing that moves a cursor.
func printable(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
