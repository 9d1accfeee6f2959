// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"time"

	_ "github.com/millrace-io/millrace/engine/backend" // want "engine/statefun may not import engine/backend: the vocabulary"
	_ "gopkg.in/yaml.v3"                               // want "module engine may not depend on gopkg.in/yaml.v3"
	_ "pgregory.net/rapid"                             // want "in tests only: property tests"
)

type Pause time.Duration
