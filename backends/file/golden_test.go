// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden stores of the newest version")

var goldenConfig = Config{Inline: true, SegmentBytes: 16 << 10}

// goldenStores make the stores whose files are in testdata, in the newest version.
var goldenStores = map[string]func(t *testing.T) map[string][]byte{"v1": goldenFolded, "v1-forgotten": goldenForgotten}

// goldenFolded has an epoch that has been folded into a table, and one that is in the log.
func goldenFolded(t *testing.T) map[string][]byte {
	return goldenStore(t, goldenConfig, func(b *Backend, commit func(epoch, since statefun.Epoch, changes ...byte)) {
		changes := backend.AppendPut(nil, 7, []byte("a"), []byte("one"))
		commit(1, 0, backend.AppendPut(changes, 2, []byte("b"), nil)...)
		if err := b.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit(2, 0, backend.AppendDelete(nil, 7, []byte("a"))...)
	})
}

// goldenForgotten has forgotten an epoch, as one that is in the log has put all that there is.
func goldenForgotten(t *testing.T) map[string][]byte {
	config := goldenConfig
	config.CompactBytes = 3 * format.PageBytes
	return goldenStore(t, config, func(b *Backend, commit func(epoch, since statefun.Epoch, changes ...byte)) {
		commit(1, 0, backend.AppendPut(nil, 7, []byte("a"), []byte("one"))...)
		changes := backend.AppendDelete(nil, 7, []byte("a"))
		commit(2, 2, backend.AppendPut(changes, 2, []byte("b"), nil)...)
		if s := b.Stats(); s.Forgotten != 2*format.PageBytes || s.LogRecords != 1 || s.Compactions > 0 {
			t.Fatalf("the store has %+v", s)
		}
	})
}

func goldenStore(t *testing.T, config Config, do func(b *Backend, commit func(epoch, since statefun.Epoch, changes ...byte))) map[string][]byte {
	t.Helper()
	d := disktest.NewDisk()
	config.FS = d.Process()
	b, err := open(t.Context(), config, storetest.Options, func() (id format.StoreID) {
		copy(id[:], "a random number.")
		return id
	})
	if err != nil {
		t.Fatal(err)
	}
	do(b, func(epoch, since statefun.Epoch, changes ...byte) {
		cp := backend.Checkpoint{
			Application: storetest.Options.Application, Generation: b.Generation(), Epoch: epoch, KeyGroups: storetest.Options.KeyGroups,
			CreatedAt: 1000, Numbers: 300, Since: since, Names: []byte("names"),
			Sources: []backend.SourcePosition{{Source: "clicks", Position: []byte{byte(epoch)}}},
		}
		if err := b.Commit(t.Context(), cp, []backend.Part{{Changes: changes}}); err != nil {
			t.Fatal(err)
		}
	})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	files := d.Files()
	delete(files, "lock")
	return files
}

// What the newest version writes is what is in testdata, byte for byte.
func TestGolden(t *testing.T) {
	for name, store := range goldenStores {
		t.Run(name, func(t *testing.T) {
			files := store(t)
			dir := filepath.Join("testdata", name)
			if *update {
				writeGolden(t, dir, files)
			}
			golden := readGolden(t, dir)
			if !slices.Equal(slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(golden))) {
				t.Errorf("the store has %v, want %v", slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(golden)))
			}
			for name, data := range files {
				if !bytes.Equal(data, golden[name]) {
					t.Errorf("%s is\n%swant\n%s", name, hex.Dump(bytes.TrimRight(data, "\x00")), hex.Dump(bytes.TrimRight(golden[name], "\x00")))
				}
			}
		})
	}
}

func writeGolden(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readGolden(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Stores of all versions that were ever released are read, and carried on.
func TestGoldenIsRead(t *testing.T) {
	versions, err := filepath.Glob(filepath.Join("testdata", "v*"))
	if err != nil || len(versions) == 0 {
		t.Fatal(versions, err)
	}
	for _, dir := range versions {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			d := disktest.DiskOf(readGolden(t, dir))
			for generation := statefun.Generation(2); generation <= 3; generation++ {
				config := goldenConfig
				config.FS = d.Process()
				b, err := Open(t.Context(), config, storetest.Options)
				if err != nil {
					t.Fatal(err)
				}
				cp, _, err := b.Latest(t.Context())
				if err != nil || cp.Epoch != 2 || string(cp.Names) != "names" || string(cp.Sources[0].Position) != "\x02" ||
					cp.CreatedAt != 1000 || cp.Numbers != 300 || b.Generation() != generation {
					t.Errorf("latest is %+v, %v, in generation %d", cp, err, b.Generation())
				}
				if state, err := storetest.Read(t, b.Store); err != nil || !maps.Equal(state, storetest.Contents{"2 b": ""}) {
					t.Errorf("holds %q, %v", state, err)
				}
				if err := b.Compact(t.Context()); err != nil {
					t.Error(err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The bytes that docs/formats/file.md shows are those of the golden stores: of the first, unless it names another.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "file.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden := readGolden(t, filepath.Join("testdata", "v1"))
	blocks := regexp.MustCompile("(?s)```(\\S+) at (\\d+)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	shown := map[string]bool{}
	for _, block := range blocks {
		name := block[1]
		at, err := strconv.Atoi(block[2])
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for line := range strings.Lines(block[3]) {
			digits, _, _ := strings.Cut(line, "   ")
			b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
			if err != nil {
				t.Fatalf("%s at %d: %q: %v", name, at, line, err)
			}
			want = append(want, b...)
		}
		data := golden[name]
		if strings.Contains(name, "/") {
			data = readGolden(t, filepath.Join("testdata", filepath.Dir(name)))[filepath.Base(name)]
		}
		if at+len(want) > len(data) {
			t.Fatalf("%s has %d bytes, the page shows %d from %d on", name, len(data), len(want), at)
		}
		if got := data[at : at+len(want)]; !bytes.Equal(got, want) {
			t.Errorf("%s at %d is\n%sthe page shows\n%s", name, at, hex.Dump(got), hex.Dump(want))
		}
		shown[name] = true
	}
	for name := range golden {
		if !shown[name] {
			t.Errorf("the page shows nothing of %s", name)
		}
	}
}
