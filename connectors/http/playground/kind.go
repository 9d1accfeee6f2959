// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/kind"
)

// Kinds returns the kinds io.statefun.playground.v1/ingress and io.statefun.playground.v1/egress.
func Kinds() []kind.Kind {
	return []kind.Kind{
		{Name: "io.statefun.playground.v1/ingress", Lenient: true, Ingress: true, Bind: bindIngress},
		{Name: "io.statefun.playground.v1/egress", Lenient: true, Bind: bindEgress},
	}
}

func bindIngress(s *kind.Spec, to kind.Target) {
	address := readAddress(s)
	most := s.Bytes("maxBodyBytes", bodyBytesDefault, 1, bodyBytesMax)
	if good(s) {
		to.Listens(address)
		to.Door(newIngress(config{address, most, timeout, slog.Default()}))
	}
}

func bindEgress(s *kind.Spec, to kind.Target) {
	address := readAddress(s)
	s.Require("topics", "the topics of the records, such as [greetings]")
	topics := s.Strings("topics")
	if good(s) {
		to.Listens(address)
		to.Sink(egressID, newEgress(config{address, 1, timeout, slog.Default()}, topics))
	}
}

// readAddress reads where to listen.
func readAddress(s *kind.Spec) string {
	s.Require("port", "the port to listen on")
	port := s.Int("port", 1, 1, 1<<16-1)
	host := s.String("host", "127.0.0.1")
	if !validHost(host) {
		// An empty one, too, as an unset variable leaves it: it would open the port to everybody.
		s.Problem("host", fmt.Sprintf("%q: want an IP address or a host name", host), "0.0.0.0 is all addresses of the machine")
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_", r)
	})
}

// good reports whether nothing but warnings has been noted.
func good(s *kind.Spec) bool {
	const lenient = true
	return !slices.ContainsFunc(s.Problems(lenient), func(p kind.Problem) bool { return !p.Warning })
}
