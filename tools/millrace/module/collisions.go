// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/remote"
)

// collisions finds what two components both claim.
func (l *loader) collisions() {
	functions, egresses, ingresses, addresses := claims{}, claims{}, claims{}, claims{}
	for _, c := range l.app.Components {
		for _, pattern := range c.functions() {
			l.claim(c, pattern, functions.add, fmt.Sprintf("the functions %s are served", pattern),
				"leave them to one endpoint; another may serve the whole namespace")
		}
		for _, s := range c.Sinks {
			l.claim(c, s.Egress, egresses.add, fmt.Sprintf("the egress %s is delivered", s.Egress),
				"give each egress an id of its own")
		}
		for _, s := range c.Sources { // Each would get the events of the other.
			l.claim(c, s.Ingress, ingresses.add, fmt.Sprintf("the ingress %s is read from a source", s.Ingress),
				"give each ingress an id of its own")
		}
		for _, address := range c.Listens {
			l.claim(c, address, addresses.listen, fmt.Sprintf("the address %s is taken", address),
				"give each an address of its own")
		}
	}
}

// functions are the patterns that the component serves. A kind may bring no endpoint where there is a mistake in
// one, but the file says for which functions it was meant.
func (c *Component) functions() (patterns []string) {
	for _, e := range c.Endpoints {
		patterns = append(patterns, e.Functions.String())
	}
	if p, err := remote.ParsePattern(text(c.in.spec, "functions")); err == nil && c.broken && patterns == nil {
		patterns = append(patterns, p.String())
	}
	return patterns
}

// claim has c claim something, and reports that another has it already. Of a component with a mistake in it only
// what its file says counts: the rest may stand in for the mistake.
func (l *loader) claim(c *Component, thing string, add func(claim, string) claim, what, hint string) {
	mine, said := c.claim(thing)
	if c.broken && !said {
		return
	}
	if first := add(mine, thing); first.at.File != "" {
		l.report(kind.Problem{
			Position: mine.at, Field: mine.field, Message: fmt.Sprintf("%s already, see %v", what, first.at), Hint: hint,
		})
	}
}

// claim is where a file says that a component wants something alone.
type claim struct {
	at    kind.Position
	field string
}

// claims are the first of each thing.
type claims map[string]claim

// add returns the claim that was there before, if there was one.
func (cs claims) add(c claim, what string) (first claim) {
	first, taken := cs[what]
	if !taken {
		cs[what] = c
	}
	return first
}

// listen is add for addresses: an address of every host also takes its port of each, and the reverse.
func (cs claims) listen(c claim, address string) (first claim) {
	if file, unix := strings.CutPrefix(address, "unix:"); unix {
		return cs.add(c, "unix:"+path.Clean(file))
	}
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return cs.add(c, address)
	}
	if port == "0" { // Any port that is free.
		return claim{}
	}
	every, some := ":"+port, "some:"+port
	rivals := []string{host(name) + every, every}
	if host(name) == "" {
		rivals = append(rivals, some)
	}
	for _, rival := range rivals {
		if first, taken := cs[rival]; taken {
			return first
		}
	}
	cs.add(c, some)
	return cs.add(c, host(name)+every)
}

// claim finds where in the component something is said. A kind does not tell; but it is there as a text,
// or an address by its port, unless it is what the kind does when it is told nothing.
func (c *Component) claim(what string) (at claim, said bool) {
	texts := []string{what}
	if _, port, err := net.SplitHostPort(what); err == nil {
		texts = append(texts, port)
	}
	for _, text := range texts {
		for _, f := range c.in.spec.Fields {
			if f.Value.Shape == kind.Scalar && f.Value.Text == text {
				return claim{f.Value.Position, c.in.specPath + "." + f.Name}, true
			}
		}
	}
	return claim{c.At, ""}, false
}

// host returns one name for all names of a host that can be told to be one; "" is every host.
func host(name string) string {
	switch ip := net.ParseIP(name); {
	case ip != nil && ip.IsUnspecified():
		return ""
	case ip != nil:
		return ip.String()
	case strings.EqualFold(name, "localhost"):
		return "127.0.0.1"
	default:
		return strings.ToLower(name)
	}
}
