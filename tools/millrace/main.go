// SPDX-License-Identifier: Apache-2.0

// Command millrace runs applications of stateful functions that module files describe, checks such files,
// and talks to a running engine.
package main

import (
	"os"
	"slices"

	fileconn "github.com/millrace-io/millrace/connectors/file"
	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/connectors/http/playground"
	"github.com/millrace-io/millrace/protocols/requestreply"
	"github.com/millrace-io/millrace/tools/millrace/command"
)

// Set by -ldflags "-X main.version=… -X main.commit=…"; what the build has recorded serves otherwise.
var version, commit string

func main() {
	root := command.New(slices.Concat(requestreply.Kinds(), httpconn.Kinds(), playground.Kinds(), fileconn.Kinds())...)
	command.Stamp(root, version, commit)
	os.Exit(command.Execute(root))
}
