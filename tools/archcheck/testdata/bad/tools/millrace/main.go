// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "github.com/millrace-io/millrace/backends/memory"
	_ "github.com/millrace-io/millrace/connectors/http"
	_ "github.com/millrace-io/millrace/engine"
	_ "github.com/millrace-io/millrace/loadgen" // want "tools/millrace may not import loadgen: wires everything"
	_ "github.com/millrace-io/millrace/tools/archcheck"
)

func main() {}
