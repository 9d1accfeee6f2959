// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	_ "github.com/millrace-io/millrace/engine" // want "engine/backendtest may not import engine: a store is tested against the port"
	_ "github.com/millrace-io/millrace/engine/backend"
	_ "pgregory.net/rapid"
)
