// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/valyala/fasthttp"
)

// Problem is an answer that is not what the client hoped for.
type Problem struct {
	Status  int
	Code    string // What programs branch on: never changes.
	Message string // What happened, for people.
	Hint    string // What to do about it.
	Allow   string // For 405.
	Cause   error  // For the log; set only when it is not the client's doing.
}

// Hints that several problems share.
const (
	laterHint = "send the request again after the seconds that Retry-After gives"
	sizeHint  = "send less; maxBodyBytes of the ingress is the limit"
)

// BadPath is the problem of a path that names nothing.
func BadPath(message, hint string) *Problem {
	return &Problem{Status: fasthttp.StatusBadRequest, Code: "bad_path", Message: message, Hint: hint}
}

// BadRequest is the problem of a request that is not as requests are.
func BadRequest(message string) *Problem {
	return &Problem{Status: fasthttp.StatusBadRequest, Code: "bad_request", Message: message}
}

func bodyTooLarge(most int) *Problem {
	return &Problem{
		Status: fasthttp.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the body is over %d bytes", most), Hint: sizeHint,
	}
}

func unavailable(code, message string) *Problem {
	return &Problem{Status: fasthttp.StatusServiceUnavailable, Code: code, Message: message, Hint: laterHint}
}

func closing() *Problem { return unavailable("closing", "the runtime is shutting down") }

// ofTransport translates what goes wrong before or while a request is read.
func ofTransport(err error, bodyMax int) *Problem {
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		return &Problem{
			Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Code: "header_too_large",
			Message: fmt.Sprintf("the head of the request is over %d bytes", HeadBytesMax),
			Hint:    "send fewer or shorter headers, or a shorter id",
		}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return bodyTooLarge(bodyMax)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Problem{
			Status: fasthttp.StatusRequestTimeout, Code: "request_timeout",
			Message: "the request did not arrive in time", Hint: "send the whole request without pauses",
		}
	default:
		return BadRequest("the request is not well-formed HTTP/1.1")
	}
}

// retryAfter is what Retry-After says: credit comes back within an epoch, a restart takes little longer.
const retryAfter = "1"

// json is the body of the answer.
func (p *Problem) json() []byte {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // Hints hold <…>.
	if err := enc.Encode(map[string]body{"error": {p.Code, p.Message, p.Hint}}); err != nil {
		panic("http: a problem that is not JSON: " + err.Error())
	}
	return b.Bytes()
}

// write makes r the answer.
func (p *Problem) write(r *fasthttp.Response) {
	r.ResetBody()
	r.SetStatusCode(p.Status)
	r.Header.SetContentType("application/json")
	r.SetBodyRaw(p.json())
	if p.Allow != "" {
		r.Header.Set(fasthttp.HeaderAllow, p.Allow)
	}
	if p.Status == fasthttp.StatusServiceUnavailable {
		r.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	}
}

// Printable makes text from outside fit to be shown: short, on one line, nothing that moves a cursor.
func Printable(s string) string {
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
