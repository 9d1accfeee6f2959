// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config says where a [Server] listens and whom it serves.
type Config struct {
	Address   string       // "host:port" or "unix:/path".
	TokenFile string       // A file of one line. Required unless the address is local.
	Metrics   http.Handler // Of /metrics.
	Logger    *slog.Logger // Gets what concerns the operator.

	bodyTimeout time.Duration // 0 stands for bodyTimeout; tests have no patience.
}

// Validate reports everything that is wrong with c, as one joined error. It reads the token file.
func (c Config) Validate() error {
	var errs []error
	switch {
	case !validAddress(c.Address):
		errs = append(errs, fmt.Errorf("admin: %q: want host:port or unix:/path", c.Address))
	case !local(c.Address) && c.TokenFile == "":
		errs = append(errs, fmt.Errorf("admin: %q can be reached from elsewhere: give an admin token file, or listen on 127.0.0.1 or unix:/path", c.Address))
	}
	_, err := readToken(c.TokenFile)
	return errors.Join(append(errs, err)...)
}

func validAddress(address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		// A leading @ or a zero byte would mean Linux's abstract names, which have no file permissions.
		return path != "" && path[0] != '@' && !strings.ContainsRune(path, 0)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// local reports whether only processes of this machine can connect to an address. Of names it trusts
// localhost alone: what others stand for is decided elsewhere, and may change.
func local(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// readToken returns the one line of a file; nothing without a file.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("admin: token file: %w", err)
	}
	token := strings.TrimRight(string(content), "\r\n")
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("admin: token file %s: want one line of printable ASCII without blanks", file)
	}
	return token, nil
}

// exposed reports whether others than its owner may read a file.
func exposed(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&^fs.FileMode(0o700) != 0
}
