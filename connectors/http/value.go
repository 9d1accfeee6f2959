// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/statefun"
)

const (
	headerTypename = "Millrace-Typename"
	headerKey      = "Millrace-Key"

	vendor = "application/vnd."
)

const typeHint = "send application/vnd.<typename> with the raw value, text/plain for io.statefun.types/string, " +
	"or application/json with the header Millrace-Typename"

func badType(message string) *server.Problem {
	return &server.Problem{
		Status: fasthttp.StatusUnsupportedMediaType, Code: "unsupported_content_type",
		Message: message, Hint: typeHint,
	}
}

// form says which value a request's body is.
type form struct {
	typename string
	text     bool // The body is the text; the value wraps it.
}

// formOf reads the headers that describe the body.
func formOf(h *fasthttp.RequestHeader) (form, *server.Problem) {
	if len(h.Peek(fasthttp.HeaderContentEncoding)) > 0 {
		// Unpacking would let a small request fill the memory.
		return form{}, badType("a Content-Encoding is not taken")
	}
	media, params, _ := bytes.Cut(h.ContentType(), []byte(";"))
	media = bytes.TrimSpace(media)
	f := form{}
	switch {
	case len(media) > len(vendor) && bytes.EqualFold(media[:len(vendor)], []byte(vendor)):
		f.typename = string(media[len(vendor):])
	case bytes.EqualFold(media, []byte("text/plain")):
		if len(params) > 0 && !utf8Charset(string(h.ContentType())) {
			return form{}, badType("text must be UTF-8")
		}
		return form{typename: statefun.String.Typename(), text: true}, nil
	case bytes.EqualFold(media, []byte("application/json")):
		f.typename = string(h.Peek(headerTypename))
		if f.typename == "" {
			return form{}, badType("application/json needs the header " + headerTypename)
		}
	case len(media) == 0:
		return form{}, badType("the Content-Type is missing")
	default:
		return form{}, badType("the Content-Type " + server.Printable(string(media)) + " is not taken")
	}
	if err := statefun.ValidateTypename(f.typename); err != nil {
		return form{}, badType(server.Printable(err.Error()))
	}
	return f, nil
}

func utf8Charset(contentType string) bool {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

// value makes the typed value of a body. It may alias the body.
func (f form) value(body []byte) (statefun.TypedValue, *server.Problem) {
	if !f.text {
		return statefun.TypedValue{Typename: f.typename, Value: body}, nil
	}
	if !utf8.Valid(body) {
		p := server.BadRequest("the text is not valid UTF-8")
		p.Hint = "send bytes that are not text as application/vnd.<typename>"
		return statefun.TypedValue{}, p
	}
	wrapped, err := statefun.String.Append(nil, string(body))
	if err != nil {
		return statefun.TypedValue{}, server.BadRequest(server.Printable(err.Error()))
	}
	return statefun.TypedValue{Typename: f.typename, Value: wrapped}, nil
}

// writeAnswer makes r the answer of a call. Text goes out as it came in, without its wrapping; what calls
// itself a string and is none goes out as it is.
func writeAnswer(r *fasthttp.Response, v statefun.TypedValue) {
	if v.Typename == statefun.String.Typename() {
		if text, err := statefun.String.Decode(v.Value); err == nil {
			r.Header.SetContentType("text/plain; charset=utf-8")
			r.SetBodyString(text)
			return
		}
	}
	r.Header.SetContentType(vendor + v.Typename)
	r.SetBodyRaw(v.Value)
}
