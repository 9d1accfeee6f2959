// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// Engine is what a [Server] needs of an *engine.Engine.
type Engine interface {
	Stats() engine.Stats
	Suspended() []engine.SuspendedAddress
	Resume(ctx context.Context, a engine.Address) error
	Skip(ctx context.Context, a engine.Address) error
	State(ctx context.Context, a engine.Address) (engine.State, error)
	Checkpoint(ctx context.Context) error
}

// watched is what a [Server] shows and steers.
type watched struct {
	Engine
	store *store.Shared // Nil: it keeps nothing.
}

// Server serves an admin address. It listens before the engine is there and after it has gone, so that its
// health can be seen in between: Open, Watch, Ready, Drain, Close. Its Door must be among the engine's.
type Server struct {
	ln     net.Listener
	addr   string
	server *http.Server
	logger *slog.Logger

	check  http.CrossOriginProtection
	local  bool              // Only this machine can connect.
	token  [sha256.Size]byte // Hashed, so that a comparison does not show its length.
	tokens bool              // There is a token.
	body   time.Duration     // How long a body, and an answer to anybody, may take.

	door    door
	watched atomic.Pointer[watched]
	state   atomic.Pointer[state]
	reading sync.Mutex // One look at a whole checkpoint at a time.
}

// state is what /readyz and /v1/stats say.
type state struct {
	Name      string   `json:"state"`
	Addresses []string `json:"addresses"` // That the application listens on.
}

var (
	starting = state{Name: "starting", Addresses: []string{}}
	draining = state{Name: "draining", Addresses: []string{}}
)

const (
	headTimeout = 5 * time.Second
	bodyTimeout = 30 * time.Second
	idleTimeout = time.Minute
	callTimeout = 5 * time.Minute // A client that has had enough hangs up.

	headBytesMax = 32 << 10 // The longest id, percent-encoded, takes 12 KiB.
	bodyBytesMax = 64 << 20 // Only a bound for memory: the engine has a limit of its own.
)

// Open begins to serve.
func Open(ctx context.Context, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	token, err := readToken(c.TokenFile)
	if err != nil {
		return nil, err
	}
	s := &Server{local: local(c.Address), logger: c.Logger, body: cmp.Or(c.bodyTimeout, bodyTimeout)}
	s.state.Store(&starting)
	s.door.base, s.door.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	if token != "" {
		s.tokens, s.token = true, sha256.Sum256([]byte(token))
		if exposed(c.TokenFile) {
			c.Logger.Warn("others can read the admin token: chmod 600 its file", "file", c.TokenFile)
		}
	}
	if s.ln, s.addr, err = listen(ctx, c.Address); err != nil {
		return nil, fmt.Errorf("admin: %s: %w", c.Address, err)
	}
	s.server = &http.Server{
		Handler:           s.routes(c.Metrics),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headBytesMax,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
		// Neither ReadTimeout nor WriteTimeout, which would cut calls and profiles short: see bound.
	}
	go func() {
		if err := s.server.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
			s.logger.Error("the admin address is not served any more", "address", s.addr, "error", err)
		}
	}()
	return s, nil
}

// routes is a mux of its own: what packages register with the default one is not served.
func (s *Server) routes(metrics http.Handler) http.Handler {
	guarded := http.NewServeMux()
	guarded.HandleFunc("GET /v1/stats", s.stats)
	guarded.HandleFunc("GET /v1/suspended", s.suspended)
	guarded.HandleFunc("POST /v1/send", s.send)
	guarded.HandleFunc("POST /v1/call", s.call)
	guarded.HandleFunc("POST /v1/resume", s.resume)
	guarded.HandleFunc("GET /v1/state", s.stateOf)
	guarded.HandleFunc("GET /v1/checkpoints", s.checkpoints)
	guarded.HandleFunc("GET /v1/checkpoint", s.inspect)
	guarded.HandleFunc("POST /v1/checkpoint", s.create)
	guarded.HandleFunc("GET /debug/pprof/", pprof.Index)
	guarded.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	guarded.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	guarded.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	guarded.HandleFunc("GET /debug/pprof/trace", pprof.Trace)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/", s.guard(guarded)) // What is not there needs leave as well.
	return s.bound(mux)
}

// Addr is the address that the server listens on: "host:port" or "unix:/path".
func (s *Server) Addr() string { return s.addr }

// Watch has the server show and steer e, and show what is in its store; nil, if it has none.
func (s *Server) Watch(e Engine, in *store.Shared) { s.watched.Store(&watched{e, in}) }

// Ready says that the application's doors are open, at the given addresses. It does nothing after Drain.
func (s *Server) Ready(addresses []string) {
	s.state.CompareAndSwap(&starting, &state{"ready", append([]string{}, addresses...)})
}

// Drain says that the application takes nothing more.
func (s *Server) Drain() { s.state.Store(&draining) }

// Close stops to listen and waits until what is being asked is answered, or until ctx is done.
func (s *Server) Close(ctx context.Context) error {
	defer s.door.giveUp()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("admin: close: %w", err), s.server.Close())
	}
	return nil
}
