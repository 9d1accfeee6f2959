// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// dialFunc opens a connection and returns it with TLS, where there is TLS, and without.
type dialFunc func(ctx context.Context, to route) (conn, raw net.Conn, err error)

// dialer knows no proxy. It looks at each address after its name was resolved, just before it connects,
// since a name may resolve to something else every time.
func dialer(conf *tls.Config, allow []netip.Prefix) dialFunc {
	d := net.Dialer{Control: func(network, address string, _ syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return permit(ap.Addr(), allow)
	}}
	if conf == nil {
		conf = &tls.Config{}
	}
	conf = conf.Clone()
	conf.MinVersion, conf.NextProtos = max(conf.MinVersion, tls.VersionTLS12), []string{"http/1.1"}
	if conf.ClientSessionCache == nil { // Connections are renewed all the time.
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return func(ctx context.Context, to route) (conn, raw net.Conn, err error) {
		raw, err = d.DialContext(ctx, to.network, to.address)
		if err != nil || to.serverName == "" {
			return raw, raw, err
		}
		conf := conf.Clone()
		conf.ServerName = to.serverName
		secure := tls.Client(raw, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, nil, fmt.Errorf("handshake: %w", err)
		}
		return secure, raw, nil
	}
}

// metadata is where clouds hand out the credentials of a machine, apart from the link-local range.
var metadata = map[netip.Addr]bool{
	netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
	netip.MustParseAddr("fd20:ce::254"):    true, // Google Cloud
	netip.MustParseAddr("100.100.100.200"): true, // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"):   true, // Azure
	netip.MustParseAddr("192.0.0.192"):     true, // Oracle Cloud
}

// tunnels are the prefixes of IPv6 addresses that stand for an IPv4 address, and where that begins.
var tunnels = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"): 12, // NAT64
	netip.MustParsePrefix("2002::/16"):    2,  // 6to4
	netip.MustParsePrefix("::/96"):        12, // IPv4-compatible
}

var errForbidden = errors.New("link-local, multicast, of a cloud's metadata service, or not in the allow-list")

// permit refuses link-local addresses and those of metadata services, which an endpoint that somebody else
// chose must not reach through the runtime; and, if there is an allow-list, all that are not in it.
func permit(ip netip.Addr, allow []netip.Prefix) error {
	v := ip.Unmap().WithZone("")
	for prefix, at := range tunnels {
		if b := v.As16(); v.Is6() && prefix.Contains(v) && !v.IsLoopback() && !v.IsUnspecified() {
			v = netip.AddrFrom4([4]byte(b[at : at+4]))
		}
	}
	allowed := len(allow) == 0
	for _, prefix := range allow {
		allowed = allowed || prefix.Contains(v)
	}
	if !allowed || v.IsLinkLocalUnicast() || v.IsMulticast() || metadata[v] {
		return fmt.Errorf("address %s is refused: %w", ip, errForbidden)
	}
	return nil
}
