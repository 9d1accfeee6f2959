// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"context"
	"fmt"
	"os"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/file"
)

// What was committed is there when the store is opened again.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	opts := backend.Options{Application: "shop", KeyGroups: 128}
	for epoch := range 3 {
		store, err := file.Open(ctx, file.Config{Dir: dir}, opts)
		if err != nil {
			fmt.Println(err)
			return
		}
		latest, ok, err := store.Latest(ctx)
		fmt.Println("generation", store.Generation(), "latest", latest.Epoch, ok, err)

		cp := backend.Checkpoint{Application: "shop", Generation: store.Generation(), Epoch: latest.Epoch + 1, KeyGroups: 128}
		changes := backend.AppendPut(nil, 7, []byte("key"), fmt.Append(nil, "value ", epoch))
		if err := store.Commit(ctx, cp, []backend.Part{{Changes: changes}}); err != nil {
			fmt.Println(err)
		}
		if err := store.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// generation 1 latest 0 false <nil>
	// generation 2 latest 1 true <nil>
	// generation 3 latest 2 true <nil>
}
