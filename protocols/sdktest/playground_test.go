// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	example = "../../examples/greeter-remote"
	command = "../../tools/millrace"
)

// The commands in the README of examples/greeter-remote, with the functions in Go, in JavaScript, and first in
// one and then in the other.
func TestGreeterRemote(t *testing.T) {
	millrace, greeter := build(t, command), build(t, example)
	inGo := func(_ *testing.T, address string) *exec.Cmd { return exec.Command(greeter, "-address", address) }
	for name, servers := range map[string][]func(*testing.T, string) *exec.Cmd{
		"Go":         {inGo},
		"JavaScript": {inJavaScript},
		"Go and then JavaScript and then Go again": {inGo, inJavaScript, inGo},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPlayground(t, millrace)
			visits := 0
			p.visit("Alice")
			for _, server := range servers {
				for range 3 { // While nobody is there.
					p.visit("Bob")
				}
				functions := startProcess(t, server(t, p.functions), "serving")
				for range 200 {
					p.visit("Bob")
				}
				visits += 3 + 200
				p.greetedUntil(visits + 1)
				functions.terminate(t)
			}
			var want []string
			for n := 1; n <= visits; n++ {
				want = append(want, words("Bob", n))
			}
			alice := words("Alice", 1)
			if got := slices.DeleteFunc(slices.Clone(p.greetings), func(s string) bool { return s == alice }); !slices.Equal(got, want) {
				t.Errorf("greetings: %q", got)
			}
			if !slices.Contains(p.greetings, alice) {
				t.Error("Alice has not been greeted")
			}
			p.process.terminate(t)
		})
	}
}

// words are those of the example.
func words(name string, visit int) string {
	switch visit {
	case 1:
		return "Welcome, " + name + "! Please come in."
	case 2:
		return name + ", you are back. How nice."
	case 3:
		return "Third time, " + name + ": your chair is by the window."
	}
	return fmt.Sprintf("The usual, %s? This is visit %d.", name, visit)
}

// build builds a command of another module as its own module alone, and returns where it is.
func build(t *testing.T, dir string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(dir))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return binary
}

// playground is the millrace command with the module file of the example, at free ports.
type playground struct {
	t                        *testing.T
	process                  *process
	functions, ingress, away string   // Where they listen.
	greetings                []string // Fetched so far.
}

func startPlayground(t *testing.T, millrace string) *playground {
	t.Helper()
	p := &playground{t: t, functions: freeAddress(t, "tcp"), ingress: freeAddress(t, "tcp"), away: freeAddress(t, "tcp")}
	file, err := os.ReadFile(filepath.Join(example, "module.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	module := string(file)
	for old, at := range map[string]string{"8000": p.functions, "8090": p.ingress, "8091": p.away} {
		_, port, err := net.SplitHostPort(at)
		if err != nil || !strings.Contains(module, old) {
			t.Fatalf("port %s: %v, in %s", old, err, module)
		}
		module = strings.ReplaceAll(module, old, port)
	}
	path := filepath.Join(t.TempDir(), "module.yaml")
	if err := os.WriteFile(path, []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	p.process = startProcess(t, exec.Command(millrace, "run", "-m", path, "--admin", "127.0.0.1:0"), "ready")
	return p
}

// visit does what the first curl command does.
func (p *playground) visit(name string) {
	p.t.Helper()
	status, _ := p.do("PUT", "http://"+p.ingress+"/example/person/"+name, `{"name":"`+name+`"}`)
	if status != "200" {
		p.t.Fatalf("visit: status %q", status)
	}
}

// greetedUntil does what the second curl command does, until it has been given that many greetings.
func (p *playground) greetedUntil(count int) {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); len(p.greetings) < count; {
		switch status, body := p.do("GET", "http://"+p.away+"/greetings", ""); {
		case status == "200":
			p.greetings = append(p.greetings, body)
		case status == "404" && time.Now().Before(deadline): // Nothing yet.
			<-tick.C
		default:
			p.t.Fatalf("%d greetings of %d, and then status %q", len(p.greetings), count, status)
		}
	}
}

// do makes a request; the status is that of the playground's own header.
func (p *playground) do(method, url, body string) (status, answer string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/vnd.example/GreetRequest")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s %s: %s, %v: %s", method, url, resp.Status, err, b)
	}
	return resp.Header.Get("Status"), string(b)
}

// inJavaScript serves the functions with node.
func inJavaScript(t *testing.T, address string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		missingPart(t, "node", err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join(example, "javascript", "functions.js"), port)
	cmd.Env = append(os.Environ(), "NODE_PATH="+nodeModules(t))
	return cmd
}

// nodeModules has npm fetch what the example needs, once, and returns where it is.
func nodeModules(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	hash := sha256.New()
	fetched := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		file, err := os.ReadFile(filepath.Join(example, "javascript", name))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(file)
		if err := os.WriteFile(filepath.Join(fetched, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(cache, "millrace", fmt.Sprintf("sdktest-%x", hash.Sum(nil)[:8]))
	modules := filepath.Join(kept, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = fetched
	if out, err := npm.CombinedOutput(); err != nil {
		missingPart(t, "node", fmt.Errorf("npm ci: %w: %s", err, out))
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fetched, kept); err != nil { // On another file system, or somebody else was first.
		return filepath.Join(fetched, "node_modules")
	}
	return modules
}

// missingPart skips a test for the lack of a part that not everybody has, unless MILLRACE_REQUIRE has it, or all.
func missingPart(t *testing.T, part string, err error) {
	t.Helper()
	required := strings.FieldsFunc(os.Getenv("MILLRACE_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, part) || slices.Contains(required, "all") {
		t.Fatalf("%s is required and missing: %v", part, err)
	}
	t.Skipf("no %s: %v", part, err)
}
