// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// listen opens "host:port" or "unix:/path" and returns what was bound.
func listen(ctx context.Context, address string) (net.Listener, string, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if isUnix {
		ln, err := listenUnix(ctx, path)
		return ln, address, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	return ln, ln.Addr().String(), nil
}

// listenUnix makes a socket that only the process's user can open. It is made in a folder that nobody else
// can enter and moved when it has its permissions, so that there is no moment without them.
func listenUnix(ctx context.Context, path string) (_ net.Listener, err error) {
	if err := unused(ctx, path); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), ".admin")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	made := filepath.Join(folder, "s")
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // It would look for the name before the move.
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &unixListener{ln, path}, nil
}

type unixListener struct {
	net.Listener
	path string
}

func (l *unixListener) Close() error {
	err := l.Listener.Close()
	if err == nil { // Only the first time: the path may be somebody else's by now.
		err = os.Remove(l.path)
	}
	return err
}

// unused reports why a socket must not be put at path, if so. A process that was killed leaves its socket
// behind; anything else is not ours to replace.
func unused(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: remove it or choose another path", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s is in use by a running process", path)
	}
	// Only a refusal proves that nobody listens: a full backlog or a missing permission does not.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s may be in use: %w", path, err)
	}
	return nil
}
