// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// look is what the commands are told that show what is stored: by a running engine, or by nobody.
type look struct {
	ask
	url string // Of a store that no engine has open; empty: ask one.
}

const lookHelp = `
A running engine is asked at its admin address. With --backend URL the store of one that does not run is opened instead;
--app must be what millrace run was given. That takes the store's next generation, as a start does, and changes nothing
else. Only --backend on the command line counts: MILLRACE_BACKEND and the key of the config file are for millrace run.
`

func (l *look) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.url, "backend", "", "`URL` of the store of an engine that does not run, such as file:///directory")
	l.pick(cmd.Flags(), "app")
	l.ask.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("backend", "admin")
}

// at shows what is stored.
type at interface {
	State(ctx context.Context, a statefun.Address) (store.State, error)
	Checkpoints(ctx context.Context) ([]store.Checkpoint, error)
	Inspect(ctx context.Context, q store.Question) (store.Inspection, error)
}

var _ at = (*admin.Client)(nil)

// offline is a store that no engine has open.
type offline struct{ *store.Shared }

func (o offline) State(ctx context.Context, a statefun.Address) (store.State, error) {
	return o.Shared.State(ctx, a, time.Now())
}

func (o offline) Checkpoints(ctx context.Context) ([]store.Checkpoint, error) { return o.List(ctx) }

// open finds where to look, and for how long. Its errors are the caller's to return.
func (l *look) open(cmd *cobra.Command) (in at, ctx context.Context, end func() error, err error) {
	if !cmd.Flags().Changed("backend") {
		c, ctx, cancel, err := l.client(cmd)
		return c, ctx, func() error { cancel(); return nil }, err
	}
	if err := settle(cmd); err != nil {
		return nil, nil, nil, err
	}
	location, err := store.Parse(l.url)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("backend: %w", err)
	}
	b, err := location.OpenExisting(cmd.Context(), backend.Options{Application: l.application, KeyGroups: store.KeyGroups(0)})
	switch {
	case errors.Is(err, backend.ErrMismatch), errors.Is(err, store.ErrNone):
		return nil, nil, nil, failure{err, exitUsage, false}
	case err != nil:
		return nil, nil, nil, failed(err)
	}
	return offline{&store.Shared{Backend: b}}, cmd.Context(), b.Close, nil
}

// do opens, has f look, and closes.
func (l *look) do(cmd *cobra.Command, f func(ctx context.Context, in at) error) error {
	in, ctx, end, err := l.open(cmd)
	if err != nil {
		return err
	}
	if err := errors.Join(f(ctx, in), end()); err != nil {
		return failed(err)
	}
	return nil
}
