// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/loadgen/httpload"
)

// The last line of stdout is one object that says what was sent, and the files that were asked for are written.
func TestHTTP(t *testing.T) {
	var wrong string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("X-One") != "1" || r.Header.Get("X-Two") != "2" || !strings.HasPrefix(r.URL.Path, "/key-") {
			wrong = r.Method + " " + r.URL.Path // The server has one connection.
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	dir := t.TempDir()
	for _, rate := range []string{"", " --rate 1000 --arrivals constant"} {
		var stdout, stderr bytes.Buffer
		args := strings.Fields("http --json --connections 1 --duration 50ms --method PUT --body x --dist zipf --url " + s.URL + "/{key}" + rate)
		args = append(args, "--header", "X-One: 1", "--header", "X-Two: 2")
		files := []string{"cpuprofile", "memprofile", "trace", "plot"}
		for _, f := range files {
			args = append(args, "--"+f, filepath.Join(dir, f+".svg"))
		}
		if code := run(t.Context(), args, &stdout, &stderr); code != exitDone {
			t.Fatalf("%s: exit code %d: %s", args, code, stderr.String())
		}
		var report httpload.Report
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || strings.Count(stdout.String(), "\n") != 1 {
			t.Fatalf("stdout is %q: %v", stdout.String(), err)
		}
		if !strings.HasPrefix(objectKeys(t, stdout.Bytes()), contractKeys+" url ") {
			t.Errorf("keys %s", objectKeys(t, stdout.Bytes()))
		}
		if report.Requests == 0 || report.Statuses["202"] != report.Requests || rate != "" && report.Requests != 50 {
			t.Errorf("%s: %+v", args, report)
		}
		for _, f := range files {
			if info, err := os.Stat(filepath.Join(dir, f+".svg")); err != nil || info.Size() == 0 {
				t.Errorf("--%s wrote nothing: %v", f, err)
			}
			_ = os.Remove(filepath.Join(dir, f+".svg"))
		}
	}
	s.Close()
	if wrong != "" {
		t.Errorf("the server was sent %s", wrong)
	}
}

// When nobody listens, the run has failed, and says where nobody does.
func TestHTTPUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"http", "--url", "http://" + l.Addr().String(), "--rate", "10"}, &stdout, &stderr)
	if code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), l.Addr().String()+" cannot be reached: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %d and the reason", code, stdout.String(), stderr.String(), exitFailed)
	}
}
