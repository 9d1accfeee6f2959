// SPDX-License-Identifier: Apache-2.0

package driver

import (
	_ "github.com/millrace-io/millrace/engine" // want "engine/internal/driver may not import engine: the engine is built from these"
	_ "github.com/millrace-io/millrace/engine/internal/shard"
)
