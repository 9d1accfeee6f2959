// SPDX-License-Identifier: Apache-2.0

package engine

import (
	_ "github.com/millrace-io/millrace/backends/memory" // want "engine may not import backends/memory: a user who imports the engine"
	_ "github.com/millrace-io/millrace/engine/internal/shard"
	_ "github.com/puzpuzpuz/xsync/v3"
	_ "github.com/puzpuzpuz/xsync/v4" // want "module engine may not depend on github.com/puzpuzpuz/xsync/v4"
	_ "golang.org/x/sync/errgroup"
)
