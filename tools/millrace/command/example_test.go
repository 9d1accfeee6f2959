// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/tools/millrace/command"
)

// printer is a kind that Millrace does not know: an egress that prints.
var printer = kind.Kind{Name: "example.com/printer", Bind: func(s *kind.Spec, to kind.Target) {
	s.Require("id", "the egress, <namespace>/<name>")
	colour := s.OneOf("colour", "black", "black", "red")
	to.Sink(s.String("id", "missing/missing"), connector.SinkFunc(func(r connector.Record) error {
		fmt.Println(colour, r.Typename)
		return nil
	}))
}}

// The main function of a millrace with another kind. It calls os.Exit with what Execute returns.
func ExampleNew() {
	root := command.New(printer) // And requestreply.Kinds(), those of package http, …
	root.SetArgs([]string{"validate", "--explain", "testdata/printer.yaml"})
	fmt.Println(command.Execute(root))
	// Output:
	// valid: 0 endpoints, 0 ingresses, 1 egress
	// egress   shop/receipts: example.com/printer, testdata/printer.yaml:1:1
	// 0
}
