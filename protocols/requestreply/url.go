// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// placeholder is what the name of the function is put in for.
const placeholder = "{function.name}"

// template is a URL with placeholders, taken apart before anything is put in, so that no name can become
// another part of it than where it stands.
type template struct {
	scheme        string // http or https.
	unix          bool
	unixTLS       bool   // With unix and https; StateFun speaks plain HTTP there.
	authority     string // Without user and password.
	authorization string // What becomes of these.
	socket        string // With unix.
	path          string
	query         string // With its question mark, or empty.
	text          string // For errors, without password and query.
}

// route is where a connection leads.
type route struct {
	network, address string // As package net wants them.
	serverName       string // For TLS; empty without.
}

// target is where the requests for one function go.
type target struct {
	route
	host, uri     string // As the request names them.
	authorization string
	text          string // For errors: without password and query.
	err           error  // The function has a name that does not fit into the template.
}

// parseTemplate reads a template. Its errors do not quote it: it may hold a password.
func parseTemplate(raw string) (*template, error) {
	raw, _, _ = strings.Cut(raw, "#") // A fragment is never sent.
	scheme, rest, ok := strings.Cut(raw, "://")
	t := &template{}
	t.scheme, t.unix = strings.CutSuffix(strings.ToLower(scheme), "+unix")
	if !ok || t.scheme != "http" && t.scheme != "https" {
		return nil, errors.New("want http://, https://, http+unix:// or https+unix://")
	}
	if rest, t.query, ok = strings.Cut(rest, "?"); ok {
		t.query = "?" + t.query
	}
	t.authority, t.path = rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		t.authority, t.path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(t.authority, '@'); i >= 0 {
		if err := t.authorize(t.authority[:i]); err != nil {
			return nil, err
		}
		t.authority = t.authority[i+1:]
	}
	if t.unix {
		if err := t.splitSocket(); err != nil {
			return nil, err
		}
	}
	t.text = t.scheme + "://" + t.authority + t.path
	if t.unix {
		t.text = t.scheme + "+unix://" + t.socket + t.path
	}
	t.text = strings.ReplaceAll(escape(t.text), escape(placeholder), placeholder)
	if to := t.target("name"); to.err != nil {
		return nil, to.err
	}
	return t, nil
}

// authorize turns the user and the password of a URL into a header.
func (t *template) authorize(info string) error {
	user, password, _ := strings.Cut(info, ":")
	user, err1 := url.PathUnescape(user)
	password, err2 := url.PathUnescape(password)
	if err1 != nil || err2 != nil || strings.Contains(info, placeholder) {
		return errors.New("the user or the password is malformed: percent-encode it")
	}
	t.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return nil
}

// splitSocket splits the path of a URL as StateFun does: the first element that ends in ".sock" ends the
// path of the socket. What follows is the path of the request, as it is: StateFun sends it as a single
// segment, with its slashes percent-encoded.
func (t *template) splitSocket() error {
	i := strings.Index(t.path+"/", ".sock/")
	if t.authority != "" || i < 0 {
		return errors.New("want an absolute path with an element that ends in .sock, such as http+unix:///run/fns.sock/path")
	}
	i += len(".sock")
	t.socket, t.path = t.path[:i], t.path[i:]
	if t.path == "" {
		t.path = "/"
	}
	return nil
}

// target puts the name of a function in. What is wrong with it is in the target's err.
func (t *template) target(name string) *target {
	to := &target{authorization: t.authorization, text: t.text}
	if err := t.fill(to, name); err != nil {
		to.route, to.err = route{}, err
	}
	return to
}

func (t *template) fill(to *target, name string) error {
	switch {
	case strings.Contains(t.authority, placeholder) && strings.Contains(name, "."):
		return errors.New("the name of the function stands in the host: with a '.' it could be any host") // Names come from messages.
	case strings.Contains(t.authority+t.socket, placeholder) && !plain(name):
		return errors.New("the name of the function stands in the host or the socket: want letters, digits, '-', '_' and '.'")
	case strings.Trim(name, ".") == "" && strings.Contains(t.path, placeholder):
		return errors.New("the name of the function is a path that servers take for another one")
	}
	authority := strings.ReplaceAll(t.authority, placeholder, name)
	if t.unix {
		authority = "localhost"
	}
	escaped := strings.ReplaceAll(url.QueryEscape(name), "+", "%20") // Everything but letters, digits and "-_.~".
	path := escape(strings.ReplaceAll(t.path, placeholder, escaped))
	to.uri = path + escape(strings.ReplaceAll(t.query, placeholder, escaped))
	u, err := url.Parse(t.scheme + "://" + authority + to.uri)
	if err != nil {
		return errors.New("not a URL")
	}
	if t.unix {
		socket := escape(strings.ReplaceAll(t.socket, placeholder, name))
		to.host, to.text = u.Host, t.scheme+"+unix://"+socket+path
		if t.unixTLS {
			to.serverName = u.Host
		}
		to.network = "unix"
		to.address, err = unixPath(socket)
		return err
	}
	to.text = t.scheme + "://" + u.Host + path
	return t.fillHost(to, u)
}

// fillHost leaves out the port that goes without saying, as StateFun does in the header Host.
func (t *template) fillHost(to *target, u *url.URL) error {
	usual := map[string]string{"http": "80", "https": "443"}[t.scheme]
	port := u.Port()
	to.host = u.Host
	if port == "" || port == usual {
		port, to.host = usual, strings.TrimSuffix(u.Host, ":"+port)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %s: want 1 to 65535", port)
	}
	if u.Hostname() == "" {
		return errors.New("there is no host")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := permit(ip, nil); err != nil {
			return err
		}
	}
	to.network, to.address = "tcp", net.JoinHostPort(u.Hostname(), port)
	if t.scheme == "https" {
		to.serverName = u.Hostname()
	}
	return nil
}

// unixPath is the path of a socket, which the system bounds.
func unixPath(escaped string) (string, error) {
	const most = 103 // Of macOS; Linux takes a little more.
	path, err := url.PathUnescape(escaped)
	if err != nil || len(path) > most || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("the path of the socket is malformed, or longer than %d bytes", most)
	}
	return path, nil
}

// escape percent-encodes what may not stand in a request line. What is encoded already stays as it is.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// plain reports whether a name is the same in every part of a URL and stays within an element of a path.
func plain(name string) bool {
	return strings.Trim(name, ".") != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// targets remembers the targets of a template.
type targets struct {
	template *template
	only     *target // If there is no placeholder.

	mu    sync.Mutex
	known map[string]*target // Guarded by mu.
}

// targetsKept bounds the targets that are remembered: any name may be in a message.
const targetsKept = 4096

func newTargets(t *template) *targets {
	ts := &targets{template: t, known: map[string]*target{}}
	if !strings.Contains(t.authority+t.socket+t.path+t.query, placeholder) {
		ts.only = t.target("")
	}
	return ts
}

func (ts *targets) of(name string) *target {
	if ts.only != nil {
		return ts.only
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	to, ok := ts.known[name]
	if !ok {
		if len(ts.known) == targetsKept {
			clear(ts.known)
		}
		to = ts.template.target(name)
		ts.known[name] = to
	}
	return to
}
