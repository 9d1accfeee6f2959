// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// A second process serves the counter over both networks and behind both servers, says what it has done, and
// ends when it is told to.
func TestSecondProcess(t *testing.T) {
	for _, network := range []Network{Unix, TCP} {
		for _, server := range []Server{FastHTTP, NetHTTP} {
			t.Run(string(network)+" "+string(server), func(t *testing.T) {
				var stderr bytes.Buffer
				p, err := start(network, server, &stderr)
				if err != nil {
					t.Fatal(err, stderr.String())
				}
				send, hangUp := p.dial()
				reply, err := send(request("a", 40, 2))
				if err != nil {
					t.Fatal(err)
				}
				if n, err := countOf(reply); err != nil || n != 42 {
					t.Errorf("the counter is at %d (%v), want 42", n, err)
				}
				if _, err := send([]byte("no request")); err == nil || !strings.Contains(err.Error(), "status 500") {
					t.Errorf("a bad request: %v, want status 500", err)
				}
				hangUp()
				if c, _, err := p.asked(); err != nil || c != (counts{2, 2}) {
					t.Errorf("the process has counted %v (%v), want 2 requests and 2 invocations", c, err)
				}
				if err := p.close(); err != nil {
					t.Error(err)
				}
				if p.dir != "" {
					if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
						t.Errorf("the directory of the socket is still there: %v", err)
					}
				}
				if stderr.Len() > 0 {
					t.Errorf("the process has said %q", stderr.String())
				}
			})
		}
	}
}

// A second process that cannot begin is the error of the run.
func TestSecondProcessFails(t *testing.T) {
	var stderr bytes.Buffer
	if _, err := start(Unix, "apache", &stderr); err == nil || !strings.Contains(stderr.String(), `"apache", want fasthttp or net/http`) {
		t.Errorf("start = %v; it has said %q", err, stderr.String())
	}
}

// Serve ends with its control, and when it cannot listen.
func TestServeEnds(t *testing.T) {
	if err := Serve("127.0.0.1:0", FastHTTP, strings.NewReader("counts\n"), &bytes.Buffer{}); err != nil {
		t.Errorf("Serve = %v at the end of control", err)
	}
	if err := Serve("unix:/no/such/place", FastHTTP, strings.NewReader(""), io.Discard); err == nil {
		t.Error("Serve has listened in a place that does not exist")
	}
}
