// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Kinds returns the kind io.millrace.file.v1/ingress.
//
//	kind: io.millrace.file.v1/ingress
//	spec:
//	  id: shop.io/orders
//	  path: orders.jsonl           # relative to the working directory
//	  valueType: shop/Order
//	  key: /cart                   # a JSON pointer to the id of the targets
//	  targets: [shop/cart]         # each gets every event
//	  follow: false                # true waits for more at the end
//	  maxLineBytes: 1MiB
func Kinds() []kind.Kind {
	return []kind.Kind{{Name: "io.millrace.file.v1/ingress", Lenient: lenient, Ingress: true, Bind: bindIngress}}
}

// Target is a kind.Target that takes sources as well.
type Target interface {
	kind.Target
	// Source brings a source for an ingress, "<namespace>/<name>". Each of its events goes, as a value of the
	// given type, to the instance of every target that has the event's key as its id.
	Source(ingress, typename string, s connector.Source, targets []statefun.FunctionType)
}

func bindIngress(s *kind.Spec, to kind.Target) {
	s.Require("id", "the ingress, <namespace>/<name>")
	s.Require("path", "the file to read")
	s.Require("valueType", "the type of the events, <namespace>/<name>")
	s.Require("key", "a JSON pointer to what is the id of the targets, such as /user/id")
	s.Require("targets", "the function types that get the events, such as [shop/cart]")
	id := s.String("id", "missing/missing")
	c := Config{
		Path:         s.String("path", "missing"),
		Typename:     s.String("valueType", "missing/missing"),
		Key:          s.String("key", "/missing"),
		Follow:       s.Bool("follow", false),
		LineBytesMax: s.Bytes("maxLineBytes", 0, 1, lineBytesMax),
	}
	if c.Key == "" { // As an unset variable leaves it: no event would have an id.
		s.Problem("key", `"": want a JSON pointer, such as /user/id`, "")
	}
	if statefun.ValidateTypename(id) != nil {
		s.Problem("id", fmt.Sprintf("%q: want <namespace>/<name>", id), "")
	}
	for _, p := range c.problems() {
		s.Problem(p.field, p.message, "")
	}
	targets := readTargets(s)
	target, ok := to.(Target)
	if !ok {
		s.Problem("", "sources cannot be set up here", "")
	}
	if len(s.Problems(lenient)) > 0 {
		return
	}
	source, err := NewSource(c)
	if err != nil {
		s.Problem("", err.Error(), "")
		return
	}
	target.Source(id, c.Typename, source, targets)
}

// lenient is what the kind is not.
const lenient = false

func readTargets(s *kind.Spec) (targets []statefun.FunctionType) {
	given, problems := s.Has("targets"), len(s.Problems(lenient))
	names := s.Strings("targets")
	if given && len(names) == 0 && len(s.Problems(lenient)) == problems {
		s.Problem("targets", "none: want function types, such as [shop/cart]", "")
	}
	for i, name := range names {
		t, err := statefun.ParseFunctionType(name)
		if err != nil {
			s.Problem("targets", fmt.Sprintf("item %d is %q: want <namespace>/<name>", i+1, name), "")
		} else if slices.Contains(targets, t) {
			s.Problem("targets", fmt.Sprintf("item %d is %q again: it would get each event twice", i+1, name), "")
		}
		targets = append(targets, t)
	}
	return targets
}
