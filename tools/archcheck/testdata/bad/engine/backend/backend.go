// SPDX-License-Identifier: Apache-2.0

package backend

import (
	_ "github.com/millrace-io/millrace/engine/connector" // want "engine/backend may not import engine/connector: a port"
	_ "github.com/millrace-io/millrace/engine/statefun"
)
