// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// The application behind the server: a function that answers, one that does not, and one that fails.
type parrot interface {
	Say(*engine.Context, string) (string, error)
	Ignore(*engine.Context, bool) error
	Fail(*engine.Context, int64) error
}

var (
	parrotFunction = engine.Define[parrot]("zoo/parrot")
	say            = engine.Answer(parrotFunction, engine.String, engine.String, parrot.Say)
	_              = engine.Accept(parrotFunction, engine.Bool, parrot.Ignore)
	_              = engine.Accept(parrotFunction, engine.Int64, parrot.Fail)
)

type parrotImpl struct {
	called chan string
	said   engine.Value[int64] // How often.
}

func (p parrotImpl) Say(ctx *engine.Context, s string) (string, error) {
	*p.said.Edit(ctx)++
	return says(ctx.Self().ID, s), nil
}

func says(id, s string) string { return strconv.Quote(id) + " says " + s }

func (p parrotImpl) Ignore(ctx *engine.Context, _ bool) error {
	p.called <- ctx.Self().ID
	return nil
}

func (p parrotImpl) Fail(ctx *engine.Context, _ int64) error {
	p.called <- ctx.Self().ID
	return engine.Permanent(errors.New("it bites"))
}

// rig is a running engine with its admin server.
type rig struct {
	*admin.Server
	engine *engine.Engine
	store  *store.Shared
	called chan string // The ids that Ignore and Fail are called for.
	log    *log
}

type log struct {
	mu  sync.Mutex
	buf bytes.Buffer // Guarded by mu.
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// serve opens a server that knows no engine yet.
func serve(t *testing.T, address, tokenFile string) (*admin.Server, *log) {
	t.Helper()
	l := &log{}
	s, err := admin.Open(t.Context(), admin.Config{
		Address: address, TokenFile: tokenFile, Logger: slog.New(slog.NewTextHandler(l, nil)),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics\n")) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, l
}

func start(t *testing.T, address, tokenFile string) *rig {
	t.Helper()
	s, l := serve(t, address, tokenFile)
	r := &rig{Server: s, called: make(chan string, 16), log: l}
	kept, err := memory.Open(t.Context(), backend.Options{Application: "app", KeyGroups: 128})
	if err != nil {
		t.Fatal(err)
	}
	r.store = &store.Shared{Backend: kept}
	r.engine, err = engine.Open(t.Context(), engine.Config{Shards: 2, Backend: r.store, Logger: slog.New(slog.DiscardHandler)}, engine.Module{
		Name: "zoo", Bind: func(b *engine.Binder) error {
			engine.Bind(b, parrotFunction, func(s *engine.Schema) parrot {
				return parrotImpl{r.called, engine.NewValue(s, "said", engine.Int64)}
			})
			b.Door(s.Door())
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- r.engine.Run(t.Context()) }()
	t.Cleanup(func() {
		_ = r.engine.Close(context.Background())
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	<-r.engine.Ready()
	s.Watch(r.engine, r.store)
	s.Ready([]string{"127.0.0.1:1"})
	return r
}

func client(t *testing.T, s *admin.Server, tokenFile string) *admin.Client {
	t.Helper()
	c, err := admin.NewClient(s.Addr(), tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const secret = "open-sesame"

func tokenFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Everything that is wrong is said at once, and nothing listens.
func TestConfigValidate(t *testing.T) {
	good := tokenFile(t, secret+"\n")
	tests := []struct {
		address, token string
		want           []string // Parts of the error; none: there is none.
	}{
		{"127.0.0.1:0", "", nil},
		{"127.8.8.8:0", "", nil},
		{"[::1]:0", "", nil},
		{"localhost:0", "", nil},
		{"unix:" + filepath.Join(t.TempDir(), "admin"), "", nil},
		{"0.0.0.0:0", good, nil},
		{"127.0.0.1:0", good, nil},

		{"0.0.0.0:0", "", []string{"can be reached from elsewhere", "admin token file"}},
		{":0", "", []string{"can be reached from elsewhere"}},
		{"[::]:0", "", []string{"can be reached from elsewhere"}},
		{"192.0.2.1:80", "", []string{"can be reached from elsewhere"}},
		{"localhost.example.com:80", "", []string{"can be reached from elsewhere"}},
		{"", "", []string{"want host:port or unix:/path"}},
		{"127.0.0.1", "", []string{"want host:port"}},
		{"127.0.0.1:http", "", []string{"want host:port"}},
		{"unix:", "", []string{"want host:port"}},
		{"unix:@abstract", "", []string{"want host:port"}},
		{"127.0.0.1:0", "/does/not/exist", []string{"token file", "no such file"}},
		{"nonsense", "/does/not/exist", []string{"want host:port", "no such file"}},
		{"127.0.0.1:0", tokenFile(t, ""), []string{"want one line"}},
		{"127.0.0.1:0", tokenFile(t, "\n\n"), []string{"want one line"}},
		{"127.0.0.1:0", tokenFile(t, "one\ntwo\n"), []string{"want one line"}},
		{"127.0.0.1:0", tokenFile(t, "two words\n"), []string{"want one line"}},
	}
	for _, tt := range tests {
		err := admin.Config{Address: tt.address, TokenFile: tt.token}.Validate()
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("%q, %q: %v", tt.address, tt.token, err)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q, %q: %v; want %q in it", tt.address, tt.token, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "two words") {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}
