// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type cart interface {
	Add(*engine.Context, int64) error
}

type cartImpl struct {
	n    engine.Value[int64]
	note engine.Value[string]
	raw  engine.Value[[]byte]
}

func (c *cartImpl) Add(ctx *engine.Context, n int64) error {
	*c.n.Edit(ctx) += n
	c.note.Set(ctx, "<evil>\n\x1b[31m")
	c.raw.Set(ctx, []byte{0xff})
	return nil
}

var (
	cartFunction = engine.Define[cart]("shop/cart")
	add          = engine.Accept(cartFunction, engine.Int64, cart.Add)
)

// kept returns the URL of a store with three carts.
func kept(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	store, err := file.Open(t.Context(), file.Config{Dir: dir}, backend.Options{Application: "shop", KeyGroups: 128})
	if err != nil {
		t.Fatal(err)
	}
	c := engine.Config{Application: "shop", Shards: 2, Backend: store, Logger: slog.New(slog.DiscardHandler)}
	e, err := engine.Open(t.Context(), c, engine.Module{Name: "shop", Bind: func(b *engine.Binder) error {
		engine.Bind(b, cartFunction, func(s *engine.Schema) cart {
			return &cartImpl{
				engine.NewValue(s, "n", engine.Int64), engine.NewValue(s, "note", engine.String, engine.AfterWrite(1000*time.Hour)),
				engine.NewValue(s, "raw", engine.Bytes("shop/Raw")),
			}
		})
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"Al", "Bob", "\xff"} {
		if err := add.To(id).Submit(t.Context(), e, int64(i)+10); err != nil {
			t.Fatal(err)
		}
	}
	for e.Stats().Invocations() < 3 {
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}

// varies is what is another one in every run: epochs, times, how often a store was opened, and hashes of all that.
var varies = regexp.MustCompile(`[0-9a-f]{32}|epoch"?:? *\d+|generation"?:? *\d+|[a-z_]+_ms":\d+|\d{4}-\d\d-\d\dT[\d:.]+Z`)

func masked(out string) string {
	return varies.ReplaceAllStringFunc(out, func(s string) string {
		switch i := strings.LastIndexAny(s, " :\""); {
		case strings.HasSuffix(s, "Z"):
			return "TIME"
		case i < 0:
			return "HASH"
		default:
			return s[:i+1] + "N"
		}
	})
}

// What the commands print of a store, word for word.
func TestLook(t *testing.T) {
	url := kept(t)
	var all strings.Builder
	for _, line := range []string{
		"checkpoint list",
		"checkpoint list --json",
		"checkpoint inspect",
		"checkpoint inspect --json",
		"checkpoint inspect --sum shop/cart:n --sum-in-flight shop/Add",
		"checkpoint inspect --json --sum shop/cart:n --sum-in-flight shop/Add",
		"checkpoint inspect --sum shop/cart:note",
		"checkpoint inspect --sum shop/cart",
		"checkpoint inspect --sum-in-flight Add",
		"state get shop/cart/Bob",
		"state get shop/cart/Bob --json",
		"state get shop/cart/Bob --name n",
		"state get shop/cart/Bob --name n --json",
		"state get shop/cart/Bob --name missing",
		"state get shop/cart/\xff --name n --json",
		"state get shop/cart/nobody",
		"state get shop/cart/nobody --json",
		"state get nobody/knows/a --json",
		"state get cart",
	} {
		args := append(strings.Fields(line), "--backend", url, "--app", "shop")
		var stdout, stderr bytes.Buffer
		root := New()
		root.SetArgs(args)
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		code := execute(t.Context(), root)
		if code == 0 && strings.HasSuffix(line, "--json") && !json.Valid(stdout.Bytes()) {
			t.Errorf("%s: %s", line, stdout.String())
		}
		printed := strings.ReplaceAll(masked(stdout.String()+stderr.String()), url, "URL")
		all.WriteString("$ millrace " + strings.ToValidUTF8(line, "?") + "\n" + printed + "[" + string(rune('0'+code)) + "]\n\n")
	}
	golden := filepath.Join("testdata", "look.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", all.String(), want)
	}
}

// The environment names the store of millrace run. Who looks is not led to it: an engine may have it open.
func TestLookElsewhere(t *testing.T) {
	t.Setenv("MILLRACE_BACKEND", kept(t))
	t.Setenv("MILLRACE_ADMIN", "unix:/does/not/exist")
	for _, line := range []string{"checkpoint list", "checkpoint inspect", "checkpoint create", "state get a/b/c"} {
		var stderr bytes.Buffer
		root := New()
		root.SetArgs(strings.Fields(line))
		root.SetErr(&stderr)
		if code := execute(t.Context(), root); code != 1 || !strings.Contains(stderr.String(), "is the engine running?") {
			t.Errorf("%s: %d, %s", line, code, stderr.String())
		}
	}
}

// What cannot be looked at is an error of the command line.
func TestLookUsage(t *testing.T) {
	empty := t.TempDir()
	for line, want := range map[string]string{
		"checkpoint":                          "want list, inspect or create",
		"checkpoint nonsense":                 "unknown command",
		"state":                               "want get",
		"state get":                           "accepts 1 arg(s)",
		"checkpoint list --backend memory":    "it goes with the process; ask a running engine with --admin",
		"checkpoint list --backend redis://x": "want memory, memory:kept, file:///directory",
		"checkpoint list --backend file://" + empty:        "there is no store",
		"checkpoint list --backend memory --admin a:1":     "none of the others can be",
		"checkpoint create --backend file://" + empty:      "unknown flag",
		"checkpoint list --timeout 0s":                     "timeout",
		"state get a/b/c --backend file://" + empty + "/x": "there is no store",
	} {
		var stderr bytes.Buffer
		root := New()
		root.SetArgs(strings.Fields(line))
		root.SetErr(&stderr)
		if code := execute(t.Context(), root); code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %d, %s; want %q", line, code, stderr.String(), want)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
