// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"time"
)

// bound bounds how long a client may take to send a body that it announces and to take its answer: anybody
// may ask, and who does neither must not hold a connection for ever.
func (s *Server) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, until := http.NewResponseController(w), time.Now().Add(s.body)
		_ = conn.SetWriteDeadline(until)
		if r.ContentLength != 0 {
			_ = conn.SetReadDeadline(until)
		}
		next.ServeHTTP(w, r)
	})
}

// guard lets those through who may decide over the application.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := s.refuse(r); p != nil {
			p.write(w)
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // Profiles and calls take their time.
		next.ServeHTTP(w, r)
	})
}

func (s *Server) refuse(r *http.Request) *problem {
	// A name that an attacker's page has come from can be made to stand for 127.0.0.1 after it was loaded:
	// then the browser takes page and server for one origin, and only the name gives it away.
	if s.local && !isLoopback(hostOf(r)) {
		return &problem{
			http.StatusForbidden, "host_not_allowed", "the Host header does not name this machine",
			"ask for localhost or 127.0.0.1",
		}
	}
	// Reading counts as well: a page could have profiles made for as long as it is open.
	asked := *r
	asked.Method = http.MethodPost
	if err := s.check.Check(&asked); err != nil {
		return &problem{http.StatusForbidden, "cross_origin", "the request comes from another origin", "ask from the command line"}
	}
	if s.tokens && !s.bears(r) {
		return &problem{
			http.StatusUnauthorized, "unauthorized", "the admin token is missing or wrong",
			"send Authorization: Bearer and the line in the admin token file",
		}
	}
	return nil
}

// hostOf is the host of the Host header, without port and brackets.
func hostOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
}

func (s *Server) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], s.token[:]) == 1
}
