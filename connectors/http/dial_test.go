// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPermit(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12::1", "93.184.216.34",
		"2606:2800::1", "::ffff:127.0.0.1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "169.253.255.255", "169.255.0.0",
	} {
		if err := permit(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v, want none", s, err)
		}
	}
	for _, s := range []string{
		"169.254.169.254", "169.254.0.0", "169.254.255.255", "169.254.170.2", "fe80::1", "fe80::1%eth0", "febf::1",
		"::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
		"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "ff02::1",
	} {
		if err := permit(netip.MustParseAddr(s)); err == nil {
			t.Errorf("%s is permitted", s)
		}
	}
}

// serveDNS answers every question for an IPv4 address with ip, and all others with nothing.
func serveDNS(t *testing.T, ip netip.Addr) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12 // Behind the header; then the name, its type and its class.
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5
			if end > n {
				continue
			}
			reply := append([]byte{}, buf[:end]...)
			copy(reply[2:12], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if buf[end-4] == 0 && buf[end-3] == 1 { // Type A.
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
				reply = append(reply, ip.AsSlice()...)
			}
			_, _ = pc.WriteTo(reply, from)
		}
	}()
	return pc.LocalAddr().String()
}

// H5: the address is looked at after the name was resolved, so a name that turns into a forbidden address
// gets no connection, and one that turns into a permitted one does.
func TestDialerLooksAtResolvedAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	original := net.DefaultResolver
	defer func() { net.DefaultResolver = original }()
	for _, tt := range []struct {
		resolved string
		refused  bool
	}{
		{"127.0.0.1", false},
		{"169.254.169.254", true},
	} {
		server := serveDNS(t, netip.MustParseAddr(tt.resolved))
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", server)
		}}
		e, err := parseEndpoint("http://receiver.example.:" + port + "/")
		if err != nil {
			t.Fatal(err)
		}
		c, err := dialer(e, nil)(t.Context())
		if err == nil {
			_ = c.Close()
		}
		if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), "is refused") {
			t.Errorf("receiver.example is %s: %v; refused: %t", tt.resolved, err, tt.refused)
		}
	}
}
