// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"testing"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

var options = backend.Options{Application: "shop", KeyGroups: 128}

// names are those of one function type, shop/cart, with the states n, an integer, and raw, which lives for 300 ms
// after it was written. docs/formats/entries.md has the bytes.
const names = "\x01\x09shop/cart\x02\x01n\x16io.statefun.types/long\x00\x03raw\x08shop/Raw\x01\xac\x02"

func long(n int64) string {
	b, err := statefun.Int64.Append(nil, n)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// cart is the entry of a cart with n, and with one byte that is no text, stamped 1,000.
func cart(dst []byte, id string, n int64) []byte {
	value := "\x00\x09" + long(n) + "\x03\xe8\x03\x00\x00\x00\x00\x00\x00\x01\xff"
	return backend.AppendPut(dst, group(id), []byte("\x01\x00"+id), []byte(value))
}

// message is one to a cart, with an integer that is called shop/Add.
func message(dst []byte, id string, n int64) []byte {
	key := "\x02\x00" + string(rune(len(id))) + id + "\x00\x00\x00\x00\x00\x00\x00\x05"
	return backend.AppendPut(dst, group(id), []byte(key), []byte("\x00\x08shop/Add"+long(n)))
}

func group(id string) statefun.KeyGroup {
	return statefun.KeyGroupOf(statefun.KeyHash(id), options.KeyGroups)
}

// commit makes an epoch of three carts and a message.
func commit(t testing.TB, b backend.Backend, epoch statefun.Epoch) {
	t.Helper()
	var changes []byte
	for i, id := range []string{"Al", "Bob", "\xff"} {
		changes = cart(changes, id, int64(i)+10)
	}
	changes = message(changes, "Bob", 100)
	cp := backend.Checkpoint{
		Application: "shop", Generation: b.Generation(), Epoch: epoch, KeyGroups: options.KeyGroups, CreatedAt: 1_790_000_000_123, Names: []byte(names),
	}
	if err := b.Commit(context.Background(), cp, []backend.Part{{Changes: changes}}); err != nil {
		t.Fatal(err)
	}
}

// made returns the directory of a store with one epoch, 41.
func made(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	b, err := file.Open(t.Context(), file.Config{Dir: dir}, options)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b, 41)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}
