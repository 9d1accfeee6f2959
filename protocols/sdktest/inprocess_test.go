// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/protocols/requestreply"
)

// The SDK's handler runs in this process as well as behind HTTP, without a change.
func TestInProcess(t *testing.T) {
	addresses, messages := thousands()
	handler, err := functions(plain)
	if err != nil {
		t.Fatal(err)
	}
	pattern := remote.Pattern{Namespace: "test", Name: "*"}
	invoker := requestreply.NewInProcess(handler.(requestreply.Handler), requestreply.InProcessConfig{})
	r := start(t, remote.Endpoint{Functions: pattern, Invoker: invoker})
	r.completed(addresses, messages, r.count(addresses, messages))
	r.counted(addresses, messages)
}
