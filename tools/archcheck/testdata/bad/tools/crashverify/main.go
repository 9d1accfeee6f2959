// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "github.com/millrace-io/millrace/engine/statefun" // want "tools/crashverify may not import engine/statefun: judges what"
	_ "github.com/millrace-io/millrace/tools/archcheck" // want "tools/crashverify may not import tools/archcheck: judges what"
)

func main() {}
