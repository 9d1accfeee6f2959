// SPDX-License-Identifier: Apache-2.0

package envelope

import _ "github.com/millrace-io/millrace/engine/internal/table" // want "engine/internal/envelope may not import engine/internal/table: what moves between"
