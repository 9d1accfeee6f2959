// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/millrace-io/millrace/engine/remote"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign returns a certificate, which edit may change before, and its key.
func (a *authority) sign(t testing.TB, edit func(c *x509.Certificate)) (cert []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "functions"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key
}

// keyPEM writes a key as PKCS#8, encrypted if there is a password.
func keyPEM(t testing.TB, key *ecdsa.PrivateKey, password string) []byte {
	t.Helper()
	if password == "" {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	der, err := pkcs8.MarshalPrivateKey(key, []byte(password), nil)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

// file writes a file and returns its path.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secure serves echoes with TLS; without a certificate of clients in conf, none is asked for.
func secure(t testing.TB, network string, cert []byte, key *ecdsa.PrivateKey, conf *tls.Config) *rawServer {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, keyPEM(t, key, ""))
	if err != nil {
		t.Fatal(err)
	}
	conf.Certificates = []tls.Certificate{pair}
	return newRawServer(t, network, func(_ int, c *rawConn) {
		secured := tls.Server(c.Conn, conf)
		c = &rawConn{Conn: secured, r: bufio.NewReader(secured)}
		c.echoAll()
		_ = secured.Close()
	})
}

func httpsURL(s *rawServer) string { return strings.Replace(s.url(), "http", "https", 1) }

// The chain of a server's certificate always counts; its name does unless it is not to.
func TestHTTPVerifiesServer(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	elsewhere := func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"} }
	nameless := func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, nil }
	forClients := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	tests := map[string]struct {
		signer  *authority
		edit    func(c *x509.Certificate)
		anyHost bool
		fails   string
	}{
		"good":                       {signer: ours},
		"good, any host":             {signer: ours, anyHost: true},
		"unknown":                    {signer: theirs, fails: "unknown authority"},
		"unknown, any host":          {signer: theirs, anyHost: true, fails: "unknown authority"},
		"expired":                    {signer: ours, edit: expired, fails: "expired"},
		"expired, any host":          {signer: ours, edit: expired, anyHost: true, fails: "expired"},
		"elsewhere":                  {signer: ours, edit: elsewhere, fails: "certificate"},
		"elsewhere, any host":        {signer: ours, edit: elsewhere, anyHost: true},
		"common name only":           {signer: ours, edit: nameless, fails: "certificate"},
		"common name only, any host": {signer: ours, edit: nameless, anyHost: true},
		"not for servers, any host":  {signer: ours, edit: forClients, anyHost: true, fails: "key usage"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cert, key := tt.signer.sign(t, tt.edit)
			s := secure(t, "tcp", cert, key, &tls.Config{})
			conf, err := TLSFiles{TrustCACerts: "file://" + file(t, "ca.pem", ours.pem), AnyHost: tt.anyHost}.Load()
			if err != nil {
				t.Fatal(err)
			}
			h := newHTTP(t, HTTPConfig{URL: httpsURL(s), TLS: conf, PoolTTL: time.Nanosecond})
			for range 2 { // With a session to resume, too.
				a := ask(h, "hello", ample)
				if tt.fails != "" {
					a.failed(t, remote.Unreachable, tt.fails)
				} else {
					a.echoed(t)
				}
			}
			shut(t, h)
		})
	}
}

// Without files the system's certificates count, among which ours is not.
func TestHTTPVerifiesServerBySystem(t *testing.T) {
	cert, key := newAuthority(t).sign(t, nil)
	s := secure(t, "tcp", cert, key, &tls.Config{})
	h := newHTTP(t, HTTPConfig{URL: httpsURL(s)})
	ask(h, "hello", ample).failed(t, remote.Unreachable, "certificate")
	shut(t, h)
}

// A client shows its certificate, whatever its key is stored as.
func TestHTTPClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	clientCert, clientKey := ca.sign(t, func(c *x509.Certificate) { c.Subject.CommonName = "client" })
	sec1, err := x509.MarshalECPrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	caFile, certFile := file(t, "ca.pem", ca.pem), file(t, "client.pem", clientCert)
	encrypted := file(t, "client.p8", keyPEM(t, clientKey, "a password"))
	tests := map[string]struct {
		f     TLSFiles
		fails bool
	}{
		"none":   {f: TLSFiles{}, fails: true},
		"PKCS#8": {f: TLSFiles{ClientCert: certFile, ClientKey: file(t, "client.key", keyPEM(t, clientKey, ""))}},
		"SEC 1": {f: TLSFiles{
			ClientCert: certFile,
			ClientKey:  file(t, "client.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})),
		}},
		"encrypted": {f: TLSFiles{
			ClientCert: certFile, ClientKey: encrypted, ClientKeyPassword: file(t, "password", []byte("a password\n")),
		}},
		"of somebody else": {fails: true, f: func() TLSFiles {
			cert, key := newAuthority(t).sign(t, nil)
			return TLSFiles{ClientCert: file(t, "c.pem", cert), ClientKey: file(t, "c.key", keyPEM(t, key, ""))}
		}()},
	}
	for name, tt := range tests {
		for version, most := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			t.Run(name+", TLS "+version, func(t *testing.T) {
				s := secure(t, "tcp", cert, key, &tls.Config{
					ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: most,
				})
				tt.f.TrustCACerts = caFile
				conf, err := tt.f.Load()
				if err != nil {
					t.Fatal(err)
				}
				h := newHTTP(t, HTTPConfig{URL: httpsURL(s), TLS: conf})
				if tt.fails {
					ask(h, "hello", ample).failed(t, remote.Unreachable, "")
				} else {
					ask(h, "hello", ample).echoed(t)
					ask(h, "again", ample).echoed(t)
				}
				shut(t, h)
			})
		}
	}
}

// https+unix is plain HTTP, as in StateFun, until something of TLS is said.
func TestHTTPUnixTLS(t *testing.T) {
	plain := newRawServer(t, "unix", func(_ int, c *rawConn) { c.echoAll() })
	h := newHTTP(t, HTTPConfig{URL: httpsURL(plain)})
	ask(h, "hello", ample).echoed(t)
	shut(t, h)

	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	conf, err := TLSFiles{TrustCACerts: file(t, "ca.pem", ca.pem)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	h = newHTTP(t, HTTPConfig{URL: httpsURL(secure(t, "unix", cert, key, &tls.Config{})), TLS: conf})
	ask(h, "hello", ample).echoed(t)
	shut(t, h)
}

// A server that speaks another protocol than the URL says is no riddle.
func TestHTTPWrongProtocol(t *testing.T) {
	plain := newRawServer(t, "tcp", func(_ int, c *rawConn) { _ = c.write("HTTP/1.1 400 Bad Request\r\n\r\n"); c.closed() })
	h := newHTTP(t, HTTPConfig{URL: httpsURL(plain)})
	ask(h, "hello", ample).failed(t, remote.Unreachable, "tls: first record does not look like a TLS handshake")
	shut(t, h)
}

// Everything that is wrong with the files is found, with its field.
func TestTLSFilesProblems(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	certFile, keyFile := file(t, "c.pem", cert), file(t, "c.key", keyPEM(t, key, ""))
	encrypted := file(t, "c.p8", keyPEM(t, key, "a password"))
	_, otherKey := ca.sign(t, nil)
	junk := file(t, "junk", []byte("junk"))
	old := file(t, "old.key", pem.EncodeToMemory(&pem.Block{
		Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x"),
	}))
	tests := map[string]struct {
		f    TLSFiles
		want []string // One for each problem: field and a part of what is said.
	}{
		"nothing":        {TLSFiles{}, nil},
		"no file":        {TLSFiles{TrustCACerts: junk + "x"}, []string{"trust_cacerts: no such file"}},
		"no certificate": {TLSFiles{TrustCACerts: junk}, []string{"trust_cacerts: no PEM certificate"}},
		"classpath":      {TLSFiles{TrustCACerts: "classpath:tls/ca.pem"}, []string{"trust_cacerts: classpath"}},
		"URI of a host":  {TLSFiles{TrustCACerts: "file://elsewhere/ca.pem"}, []string{"trust_cacerts: file:///etc"}},
		"no key":         {TLSFiles{ClientCert: certFile}, []string{"client_cert: belong together"}},
		"no cert":        {TLSFiles{ClientKey: keyFile}, []string{"client_cert: belong together"}},
		"password only":  {TLSFiles{ClientKeyPassword: junk}, []string{"client_key_password: no client_key"}},
		"junk key":       {TLSFiles{ClientCert: certFile, ClientKey: junk}, []string{"client_key: no PEM key"}},
		"junk cert":      {TLSFiles{ClientCert: junk, ClientKey: keyFile}, []string{"client_cert: "}},
		"another key": {
			TLSFiles{ClientCert: certFile, ClientKey: file(t, "o.key", keyPEM(t, otherKey, ""))},
			[]string{"client_cert: does not match"},
		},
		"no password":    {TLSFiles{ClientCert: certFile, ClientKey: encrypted}, []string{"client_key: give client_key_password"}},
		"wrong password": {TLSFiles{ClientCert: certFile, ClientKey: encrypted, ClientKeyPassword: junk}, []string{"client_key: password is wrong"}},
		"old encryption": {TLSFiles{ClientCert: certFile, ClientKey: old}, []string{"client_key: old format"}},
		"all missing": {
			TLSFiles{TrustCACerts: "/nowhere/1", ClientCert: "/nowhere/2", ClientKey: "/nowhere/3", ClientKeyPassword: "/nowhere/4"},
			[]string{"trust_cacerts: /1", "client_cert: /2", "client_key: /3", "client_key_password: /4"},
		},
	}
	for name, tt := range tests {
		_, problems := tt.f.load()
		if len(problems) != len(tt.want) {
			t.Errorf("%s: %v, want %d problems", name, problems, len(tt.want))
			continue
		}
		for i, p := range problems {
			field, text, _ := strings.Cut(tt.want[i], ": ")
			if p.field != field || !strings.Contains(p.err.Error(), text) {
				t.Errorf("%s: %s: %v, want %s", name, p.field, p.err, tt.want[i])
			}
		}
		if _, err := tt.f.Load(); (err != nil) != (len(problems) > 0) {
			t.Errorf("%s: Load: %v", name, err)
		}
	}
}

// corked holds back what is written, once it is corked, until it is closed.
type corked struct {
	net.Conn
	on  bool
	out []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.on {
		c.out = append(c.out, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) Close() error {
	_ = c.SetWriteDeadline(time.Time{}) // TLS has just said that it writes no more.
	_, _ = c.Conn.Write(c.out)
	return c.Conn.Close()
}

// The end of a connection that comes with the last chunk does not make the answer look cut.
func TestHTTPEndWithLastChunk(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, nil)
	pair, err := tls.X509KeyPair(cert, keyPEM(t, key, ""))
	if err != nil {
		t.Fatal(err)
	}
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
		cork := &corked{Conn: c.Conn}
		secured := tls.Server(cork, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
		c = &rawConn{Conn: secured, r: bufio.NewReader(secured)}
		body, _ := io.ReadAll(c.request().Body)
		cork.on = true
		_ = c.write("HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n" + chunks(echoBytes(body)))
		_ = secured.Close()
	})
	conf, err := TLSFiles{TrustCACerts: file(t, "ca.pem", ca.pem)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	h := newHTTP(t, HTTPConfig{URL: httpsURL(s), TLS: conf})
	ask(h, "hello", ample).echoed(t)
	ask(h, "again", ample).echoed(t)
	shut(t, h)
}
