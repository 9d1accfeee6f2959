// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
)

// Kind reads the spec of one kind of component.
type Kind struct {
	// Name is what stands behind "kind:" in a module file, such as "io.millrace.http.v1/ingress".
	Name string
	// Lenient makes unknown fields a warning instead of an error: StateFun ignores them in its own kinds.
	Lenient bool
	// Ingress says that components of this kind bring events in.
	Ingress bool
	// Bind reads s and hands to what the component brings. It reports what is wrong through s and
	// starts nothing; what it hands over is dropped if anything was wrong in any file.
	Bind func(s *Spec, to Target)
}

// Target takes what a component brings.
type Target interface {
	// Door brings a way in that cannot be replayed, such as an HTTP server.
	Door(d connector.Door)
	// Sink brings what delivers the records of an egress, "<namespace>/<name>". An egress has one.
	Sink(egress string, s connector.Sink)
	// Endpoint brings functions that run elsewhere.
	Endpoint(e remote.Endpoint)
	// Listens says that the component listens at an address, so that two do not take the same.
	Listens(address string)
}
