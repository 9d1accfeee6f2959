// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
)

func TestPermit(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12::1", "93.184.216.34",
		"2606:2800::1", "::ffff:127.0.0.1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "169.253.255.255", "169.255.0.0",
	} {
		if err := permit(netip.MustParseAddr(s), nil); err != nil {
			t.Errorf("%s: %v, want none", s, err)
		}
	}
	for _, s := range []string{
		"169.254.169.254", "169.254.0.0", "169.254.255.255", "169.254.170.2", "fe80::1", "fe80::1%eth0", "febf::1",
		"::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
		"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "ff02::1",
	} {
		if err := permit(netip.MustParseAddr(s), []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}); err == nil {
			t.Errorf("%s is permitted", s)
		}
	}
	only := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for s, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "127.0.0.1": false, "11.0.0.1": false, "::1": false} {
		if got := permit(netip.MustParseAddr(s), only) == nil; got != want {
			t.Errorf("%s with 10.0.0.0/8 allowed: %t, want %t", s, got, want)
		}
	}
}

// resolve makes every name resolve to ip, or to nothing if that is invalid, until t is over.
func resolve(t *testing.T, ip netip.Addr) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		const header = 12
		for buf := make([]byte, 512); ; {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			end := header
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5 // The name's end, type and class.
			if end > n {
				continue
			}
			reply := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, buf[header:end]...)
			switch isA := buf[end-4] == 0 && buf[end-3] == 1; {
			case !ip.IsValid():
				reply[3] |= 3 // NXDOMAIN.
			case isA:
				reply[7] = 1
				reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
				reply = append(reply, ip.AsSlice()...)
			}
			_, _ = pc.WriteTo(reply, from)
		}
	}()
	original := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = original })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// What a name stands for is looked at when it is dialled: it may change at any time. The name may come from
// a message, with the function's.
func TestHTTPLooksAtResolvedAddresses(t *testing.T) {
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) { c.echoAll() })
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, HTTPConfig{URL: "http://{function.name}.example.:" + port + "/fn"})
	t.Run("permitted", func(t *testing.T) {
		resolve(t, netip.MustParseAddr("127.0.0.1"))
		ask(h, "hello", ample).echoed(t)
	})
	for _, tt := range []struct {
		ip   netip.Addr
		text string
	}{
		{netip.MustParseAddr("169.254.169.254"), "is refused"},
		{netip.Addr{}, "no such host"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			resolve(t, tt.ip)
			// Another name, for which there is no connection.
			a := ask(nothing{}, "hello", ample)
			a.r.Target.Name = "other"
			a.again(h)
			a.failed(t, remote.Unreachable, tt.text)
		})
	}
	shut(t, h)
}

// Proxies of the environment are not for functions.
func TestHTTPNoProxy(t *testing.T) {
	canary := newRawServer(t, "tcp", func(_ int, c *rawConn) { c.closed() })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://"+canary.Addr().String())
	}
	resolve(t, netip.MustParseAddr("127.0.0.1"))
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) { c.echoAll() })
	h := newHTTP(t, HTTPConfig{URL: strings.Replace(s.url(), "127.0.0.1", "functions.example.", 1)})
	ask(h, "hello", ample).echoed(t)
	shut(t, h)
	if canary.connections() > 0 {
		t.Error("the proxy was used")
	}
}

// Whatever is wrong before there is a connection is told as such, and ends in time.
func TestHTTPCannotConnect(t *testing.T) {
	closed := listen(t, "tcp")
	_ = closed.Close()
	notSocket := filepath.Join(t.TempDir(), "file.sock")
	if err := os.WriteFile(notSocket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	silent := newRawServer(t, "tcp", func(_ int, c *rawConn) { c.closed() })
	tests := map[string]struct {
		c    HTTPConfig
		text string
	}{
		"refused":             {HTTPConfig{URL: "http://" + closed.Addr().String()}, "refused"},
		"no socket":           {HTTPConfig{URL: "http+unix://" + socketPath(t)}, "no such file"},
		"not a socket":        {HTTPConfig{URL: "http+unix://" + notSocket}, "refused"},
		"not allowed":         {HTTPConfig{URL: silent.url(), Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "is refused"},
		"no end of handshake": {HTTPConfig{URL: strings.Replace(silent.url(), "http", "https", 1), Connect: soon}, "deadline"},
		"no end of connect":   {HTTPConfig{URL: "http://" + full(t), Connect: soon}, "timeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHTTP(t, tt.c)
			ask(h, "hello", ample).failed(t, remote.Unreachable, tt.text)
			shut(t, h)
		})
	}
	t.Run("no time to connect", func(t *testing.T) {
		h := newHTTP(t, HTTPConfig{URL: "http://" + full(t)})
		ask(h, "hello", soon).failed(t, remote.TimedOut, "timeout")
		shut(t, h)
	})
}

// full listens without accepting until nobody gets through, and returns the address.
func full(t *testing.T) string {
	t.Helper()
	ln := listen(t, "tcp")
	rc, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := rc.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), soon)
		if err != nil {
			return ln.Addr().String()
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("this system does not let a listener be full")
	return ""
}
