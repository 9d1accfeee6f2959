// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"io"
	"log"
	"os"
	"testing"
)

// The second process of these tests is the test binary itself.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // The SDK tells it of everything that is registered.
	if len(os.Args) == 6 && os.Args[1] == ServeCommand {
		if err := Serve(os.Args[3], Server(os.Args[5]), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
