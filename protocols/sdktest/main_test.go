// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"fmt"
	"io"
	"log"
	"os"
	"testing"
)

// TestMain runs the tests, or the function server: that is this program, started by a test.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // The SDK writes a line for each handshake.
	config := os.Getenv(serverVariable)
	if config == "" {
		os.Exit(m.Run())
	}
	if err := serve(config); err != nil {
		fmt.Fprintln(os.Stderr, "function server:", err)
		os.Exit(1)
	}
}
