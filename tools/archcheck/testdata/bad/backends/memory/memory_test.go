// SPDX-License-Identifier: Apache-2.0

package memory

import (
	_ "github.com/millrace-io/millrace/engine/backendtest"
	_ "github.com/millrace-io/millrace/engine/enginetest/sim"
)
