// SPDX-License-Identifier: Apache-2.0

package module

import (
	"slices"

	"github.com/millrace-io/millrace/connectors/file"
	"github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/connectors/http/playground"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/protocols/requestreply"
)

// kinds are those of the command: what a user is told depends on them as much as on the loader.
func kinds() []kind.Kind {
	return slices.Concat(requestreply.Kinds(), http.Kinds(), playground.Kinds(), file.Kinds())
}
