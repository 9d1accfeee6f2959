// SPDX-License-Identifier: Apache-2.0

package memory

import (
	_ "github.com/millrace-io/millrace/backends/memory/log"
	_ "github.com/millrace-io/millrace/backends/pebble" // want "backends/memory may not import backends/pebble: a store knows"
	_ "github.com/millrace-io/millrace/engine"          // want "backends/memory may not import engine: a store knows"
	_ "github.com/millrace-io/millrace/engine/backend"
	_ "gopkg.in/yaml.v3"
)
