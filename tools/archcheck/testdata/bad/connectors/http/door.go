// SPDX-License-Identifier: Apache-2.0

package http

import (
	_ "github.com/millrace-io/millrace/engine/backend" // want "connectors/http may not import engine/backend: a connector knows"
	_ "github.com/millrace-io/millrace/engine/connector"
)
