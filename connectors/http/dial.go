// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// dialFunc opens a connection, with TLS where the endpoint asks for it.
type dialFunc func(ctx context.Context) (net.Conn, error)

// dialer returns the dialFunc of an endpoint. It knows no proxy, and looks at each address after its name
// was resolved, just before it connects: a name may resolve to something else every time.
func dialer(e endpoint, conf *tls.Config) dialFunc {
	d := net.Dialer{Control: func(network, address string, _ syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return permit(ap.Addr())
	}}
	if e.serverName == "" {
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, e.network, e.address) }
	}
	if conf == nil {
		conf = &tls.Config{}
	}
	conf = conf.Clone()
	conf.ServerName, conf.MinVersion, conf.NextProtos = e.serverName, tls.VersionTLS12, []string{"http/1.1"}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := d.DialContext(ctx, e.network, e.address)
		if err != nil {
			return nil, err
		}
		t := tls.Client(c, conf)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return t, nil
	}
}

// Where clouds serve the credentials of a machine beyond the link-local range.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("fd20:ce::254"):    true, // Google Cloud
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"):   true, // Azure
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle Cloud
}

// Prefixes of IPv6 addresses that hold an IPv4 address, and at which byte.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible
}

// permit refuses link-local addresses and those of metadata services: a URL that somebody else chose must
// not make the runtime fetch the credentials of its machine. Loopback and private addresses are allowed.
func permit(ip netip.Addr) error {
	v := ip.Unmap().WithZone("")
	for _, e := range embedding {
		if b := v.As16(); v.Is6() && e.prefix.Contains(v) && !v.IsLoopback() && !v.IsUnspecified() {
			v = netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
			break
		}
	}
	if v.IsLinkLocalUnicast() || v.IsMulticast() || metadata[v] {
		return fmt.Errorf("address %s is refused: link-local, multicast or a cloud's metadata service", ip)
	}
	return nil
}
