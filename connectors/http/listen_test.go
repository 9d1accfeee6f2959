// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The socket file of a killed process does not keep its successor from starting.
func TestUnixSocketReplacesAStaleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	e := &entry{}
	in := open(t, IngressConfig{Address: "unix:" + path}, e)
	if resp, body := ask(t, in, post("/shop/cart/7", "v")); resp.StatusCode != 202 {
		t.Errorf("status %d with %q, want 202", resp.StatusCode, body)
	}
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file is still there after Close: %v", err)
	}
}

// What is not a dead socket stays as it is, and the ingress says why it does not start.
func TestUnixSocketRefusesWhatIsNotItsOwn(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.sock")
	in := open(t, IngressConfig{Address: "unix:" + live}, &entry{})
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(live, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		live: "in use", file: "not a socket", link: "not a socket", dir: "not a socket",
		filepath.Join(dir, "missing", "x.sock"): "no such file",
	} {
		second, err := NewIngress(IngressConfig{Address: "unix:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Open(t.Context(), &entry{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open on %s = %v, want %q in it", path, err, want)
		}
		if err := second.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if resp, body := ask(t, in, post("/shop/cart/7", "v")); resp.StatusCode != 202 {
		t.Errorf("the first ingress: status %d with %q, want 202", resp.StatusCode, body)
	}
}

// A process that is too busy to accept is alive, and keeps its socket.
func TestUnixSocketOfABusyProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for { // Until its queue of connections is full.
		c, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		defer func() { _ = c.Close() }()
	}
	in, err := NewIngress(IngressConfig{Address: "unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Open(t.Context(), &entry{}); err == nil || !strings.Contains(err.Error(), "may be in use") {
		t.Errorf("Open = %v, want a refusal", err)
	}
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
