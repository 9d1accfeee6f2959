// SPDX-License-Identifier: Apache-2.0

package statefun_test

import (
	_ "github.com/millrace-io/millrace/engine/internal/clock" // want "engine/statefun may not import engine/internal/clock"
	_ "github.com/millrace-io/millrace/engine/statefun"
	_ "pgregory.net/rapid"
)
