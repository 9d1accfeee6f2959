// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/kind"
)

// StateFun's transports. They differ in their defaults; both are HTTP/1.1 here.
const (
	asyncTransport  = "io.statefun.transports.v1/async"
	okhttpTransport = "io.statefun.transports.v1/okhttp"
)

// A time of 0 is no limit where StateFun accepts it.
const (
	timeLeast = time.Millisecond
	timeMost  = 30 * 24 * time.Hour
)

// readAsync reads the fields of StateFun's default transport. A block of timeouts has defaults of its own.
func readAsync(s *kind.Spec) endpoint {
	var e endpoint
	e.policy.Call = s.Duration("call", 2*time.Minute, timeLeast, timeMost)
	e.http.Connect = s.Duration("connect", 20*time.Second, 0, timeMost)
	if t := s.Sub("timeouts"); t != nil {
		e.policy.Call = t.Duration("call", time.Minute, timeLeast, timeMost)
		e.http.Connect = t.Duration("connect", 10*time.Second, 0, timeMost)
	}
	e.policy.RetryFirst = 4 * time.Millisecond
	e.http.PoolTTL = s.Duration("pool_ttl", 15*time.Second, 0, timeMost)
	e.http.PoolSize = s.Int("pool_size", 1024, 1, poolSizeMost)
	e.http.PayloadMax = s.Bytes("payload_max_bytes", 32<<20, 1, payloadMaxMost)
	e.tls = TLSFiles{
		TrustCACerts:      s.String("trust_cacerts", ""),
		ClientCert:        s.String("client_cert", ""),
		ClientKey:         s.String("client_key", ""),
		ClientKeyPassword: s.String("client_key_password", ""),
		AnyHost:           !s.Bool("verify_hostname", true),
	}
	e.tlsFields = s
	return e
}

// readOkHTTP reads the fields of StateFun's older transport, which has no options for TLS.
func readOkHTTP(s *kind.Spec) endpoint {
	var e endpoint
	t := s.Sub("timeouts")
	e.policy.Call = t.Duration("call", time.Minute, timeLeast, timeMost)
	e.policy.RetryFirst = 10 * time.Millisecond
	e.http = HTTPConfig{}.withDefaults()
	phase := func(field string) time.Duration {
		d := t.Duration(field, min(10*time.Second, e.policy.Call), timeLeast, timeMost)
		if d > e.policy.Call {
			t.Problem(field, fmt.Sprintf("%v, but call is %v: want no more than that", d, e.policy.Call), "")
		}
		return d
	}
	e.http.Connect, e.http.Read, e.http.Write = phase("connect"), phase("read"), phase("write")
	return e
}
