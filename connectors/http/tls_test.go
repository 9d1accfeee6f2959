// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), pool: x509.NewCertPool()}
	a.issue(t, "ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		Subject: pkix.Name{CommonName: "test authority"},
	})
	a.pool.AddCert(a.cert)
	return a
}

// issue writes <name>.crt and <name>.key, and returns their paths.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if template.IsCA {
		a.cert, a.key = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if template.IsCA {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func (a *authority) server(t *testing.T) TLSConfig {
	t.Helper()
	cert, key := a.issue(t, "server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return TLSConfig{Cert: cert, Key: key}
}

func askTLS(t *testing.T, in *Ingress, conf *tls.Config, request string) (int, error) {
	t.Helper()
	c := tls.Client(dial(t, in), conf)
	if _, err := io.WriteString(c, request); err != nil {
		return 0, err
	}
	var first [1]byte // TLS 1.3 tells the client only now that its certificate was refused.
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return 0, err
	}
	resp, _ := readAnswer(t, bufio.NewReader(io.MultiReader(strings.NewReader(string(first[:])), c)))
	return resp.StatusCode, nil
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	in := open(t, IngressConfig{TLS: a.server(t)}, &entry{})
	conf := &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"}
	for name, req := range map[string]string{
		"length": post("/shop/cart/7", "v"), "chunks": chunkedHead + "1\r\nv\r\n0\r\n\r\n", "refused": post("/x", "v"),
	} {
		want := 202
		if name == "refused" {
			want = 400
		}
		if status, err := askTLS(t, in, conf, req); status != want {
			t.Errorf("%s: status %d, %v, want %d", name, status, err, want)
		}
	}
	old := conf.Clone()
	old.MaxVersion = tls.VersionTLS11
	if status, err := askTLS(t, in, old, post("/shop/cart/7", "v")); err == nil {
		t.Errorf("TLS 1.1: status %d, want an error", status)
	}
	// Plain HTTP gets no service, and does not keep a connection.
	c := dial(t, in)
	if _, err := io.WriteString(c, post("/shop/cart/7", "v")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); strings.Contains(string(b), " 202 ") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("plain HTTP: %q, %v", b, err)
	}
}

// corked is a connection that, while corked, keeps what is written to it.
type corked struct {
	net.Conn
	kept *bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) {
	if c.kept != nil {
		return c.kept.Write(p)
	}
	return c.Conn.Write(p)
}

// A TLS client may say farewell together with its last bytes. Whether they were all is told all the same.
func TestTLSFarewellWithTheLastBytes(t *testing.T) {
	a := newAuthority(t)
	e := &entry{}
	in := open(t, IngressConfig{TLS: a.server(t)}, e)
	chunks, length := chunkedHead+"2\r\nvv\r\n", strings.Replace(post("/a/b/c", ""), "Length: 0", "Length: 2", 1)+"v"
	for _, tt := range []struct {
		version uint16
		request string
		want    int
	}{
		{tls.VersionTLS12, chunks, 400},
		{tls.VersionTLS12, length, 400},
		{tls.VersionTLS12, chunks + "0\r\n\r\n", 202},
		{tls.VersionTLS12, length + "v", 202},
		{tls.VersionTLS13, chunks, 400},
		{tls.VersionTLS13, length, 400},
		{tls.VersionTLS13, chunks + "0\r\n\r\n", 202},
		{tls.VersionTLS13, length + "v", 202},
	} {
		raw := &corked{Conn: dial(t, in)}
		c := tls.Client(raw, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1", MaxVersion: tt.version})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		raw.kept = &bytes.Buffer{}
		if _, err := io.WriteString(c, tt.request); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := raw.SetDeadline(time.Now().Add(30 * time.Second)); err != nil { // CloseWrite has ended it.
			t.Fatal(err)
		}
		if _, err := raw.kept.WriteTo(raw.Conn); err != nil {
			t.Fatal(err)
		}
		if resp, _ := readAnswer(t, bufio.NewReader(c)); resp.StatusCode != tt.want {
			t.Errorf("TLS %x, %q: status %d, want %d", tt.version, tt.request, resp.StatusCode, tt.want)
		}
	}
	if got := e.received(); len(got) != 4 {
		t.Errorf("the engine received %v, want 4 messages", got)
	}
}

// H1: a handshake that does not come is not waited for longer than a request.
func TestTLSHandshakeHasADeadline(t *testing.T) {
	a := newAuthority(t)
	c := impatient()
	c.TLS = a.server(t)
	in := open(t, c, &entry{})
	silent, half := dial(t, in), dial(t, in)
	if _, err := io.WriteString(half, "\x16\x03\x01\x02\x00"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"silent": silent, "half": half} {
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: never closed", name)
		}
	}
}

func TestMutualTLS(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	conf := a.server(t)
	conf.ClientCA = filepath.Join(a.dir, "ca.crt")
	in := open(t, IngressConfig{TLS: conf}, &entry{})
	client := func(by *authority) *tls.Config {
		c := &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"}
		if by != nil {
			cert, err := tls.LoadX509KeyPair(by.issue(t, "client", &x509.Certificate{
				Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}))
			if err != nil {
				t.Fatal(err)
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		return c
	}
	if status, err := askTLS(t, in, client(a), post("/shop/cart/7", "v")); status != 202 {
		t.Errorf("with a certificate: status %d, %v, want 202", status, err)
	}
	if status, err := askTLS(t, in, client(other), post("/shop/cart/7", "v")); err == nil {
		t.Errorf("with another authority's certificate: status %d, want an error", status)
	}
	if status, err := askTLS(t, in, client(nil), post("/shop/cart/7", "v")); err == nil {
		t.Errorf("without a certificate: status %d, want an error", status)
	}
}

func TestTLSFilesAreNamedWhenBad(t *testing.T) {
	a := newAuthority(t)
	good := a.server(t)
	for name, tt := range map[string]struct {
		conf TLSConfig
		want string
	}{
		"missing":    {TLSConfig{Cert: "/nowhere.crt", Key: good.Key}, "/nowhere.crt"},
		"swapped":    {TLSConfig{Cert: good.Key, Key: good.Cert}, good.Key},
		"no CA file": {TLSConfig{Cert: good.Cert, Key: good.Key, ClientCA: "/nowhere.ca"}, "/nowhere.ca"},
		"CA is none": {TLSConfig{Cert: good.Cert, Key: good.Key, ClientCA: good.Key}, good.Key},
	} {
		in, err := NewIngress(IngressConfig{Address: "127.0.0.1:0", TLS: tt.conf})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Open(t.Context(), &entry{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want %s named", name, err, tt.want)
		}
		if err := in.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
