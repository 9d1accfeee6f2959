// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/youmark/pkcs8"
)

// TLSFiles names the files of an endpoint's TLS, as StateFun's module files do: each is a path or a file:
// URI, and empty if there is none.
type TLSFiles struct {
	TrustCACerts      string // PEM certificates that are trusted; empty: the system's.
	ClientCert        string // PEM certificate that is shown to the server, with those between it and the root.
	ClientKey         string // Its PEM key: PKCS#8, perhaps encrypted, or PKCS#1 or SEC 1.
	ClientKeyPassword string // The file that holds the key's password.

	// AnyHost accepts a trusted certificate whatever name it is for, as StateFun's default transport does.
	AnyHost bool
}

// Load reads the files.
func (f TLSFiles) Load() (*tls.Config, error) {
	conf, problems := f.load()
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("%s: %w", p.field, p.err))
	}
	return conf, errors.Join(errs...)
}

// fileProblem is something wrong with a file. The field is called as in a module file.
type fileProblem struct {
	field string
	err   error
	hint  string
}

func (f TLSFiles) load() (*tls.Config, []fileProblem) {
	l := tlsLoader{conf: &tls.Config{}}
	if pemBytes := l.read("trust_cacerts", f.TrustCACerts); pemBytes != nil {
		l.conf.RootCAs = x509.NewCertPool()
		if !l.conf.RootCAs.AppendCertsFromPEM(pemBytes) {
			l.note("trust_cacerts", errors.New("there is no PEM certificate in the file"), "")
		}
	}
	switch {
	case (f.ClientCert == "") != (f.ClientKey == ""):
		l.note("client_cert", errors.New("client_cert and client_key belong together: give both or neither"), "")
	case f.ClientKey == "" && f.ClientKeyPassword != "":
		l.note("client_key_password", errors.New("there is no client_key"), "")
	case f.ClientCert != "":
		l.keyPair(f)
	}
	if f.AnyHost {
		anyHost(l.conf)
	}
	return l.conf, l.problems
}

// tlsLoader collects what is wrong, so that all of it is reported.
type tlsLoader struct {
	conf     *tls.Config
	problems []fileProblem
}

func (l *tlsLoader) note(field string, err error, hint string) {
	l.problems = append(l.problems, fileProblem{field, err, hint})
}

// read returns what is in the file, or nil if there is none.
func (l *tlsLoader) read(field, file string) []byte {
	if file == "" {
		return nil
	}
	path, err := filePath(file)
	if err != nil {
		l.note(field, err, "give the path of a file")
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		l.note(field, err, "")
		return nil
	}
	return b
}

// filePath reads a path or a file: URI.
func filePath(s string) (string, error) {
	scheme, _, _ := strings.Cut(s, ":")
	switch strings.ToLower(scheme) {
	case "classpath":
		return "", errors.New("classpath: is not supported")
	case "file":
		u, err := url.Parse(s)
		if err != nil || u.Path == "" || u.Host != "" && u.Host != "localhost" {
			return "", errors.New("want a URI such as file:///etc/tls/ca.pem")
		}
		return u.Path, nil
	}
	return s, nil
}

func (l *tlsLoader) keyPair(f TLSFiles) {
	had := len(l.problems)
	cert, key := l.read("client_cert", f.ClientCert), l.read("client_key", f.ClientKey)
	password := l.read("client_key_password", f.ClientKeyPassword)
	if len(l.problems) > had {
		return
	}
	key, err := decryptKey(key, bytes.TrimRight(password, "\r\n"))
	if err != nil {
		l.note("client_key", err, "openssl pkcs8 -topk8 turns any key into one of PKCS#8")
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		l.note("client_cert", err, "")
		return
	}
	l.conf.Certificates = []tls.Certificate{pair}
}

// decryptKey returns a PEM key without encryption. One that is not encrypted stays as it is, password or
// not.
func decryptKey(key, password []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	switch {
	case block == nil:
		return nil, errors.New("there is no PEM key in the file")
	case block.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted in OpenSSL's old format, which is not safe")
	case block.Type != "ENCRYPTED PRIVATE KEY":
		return key, nil
	case len(password) == 0:
		return nil, errors.New("the key is encrypted: give client_key_password")
	}
	private, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, password)
	if err != nil {
		return nil, errors.New("the key cannot be decrypted: the password is wrong, or the encryption is not one of PKCS#5 2.0")
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// anyHost replaces the whole verification by one of the chain only.
func anyHost(conf *tls.Config) {
	roots := conf.RootCAs
	conf.InsecureSkipVerify = true
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := s.PeerCertificates[0].Verify(opts)
		return err
	}
}
