// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersion(t *testing.T) {
	got := millrace(t, "version", "--json")
	want := `{"version":"v1.2.3","commit":"abc","go":"` + runtime.Version() + `","os":"` + runtime.GOOS + `","arch":"` + runtime.GOARCH + `"}` + "\n"
	if got.code != 0 || got.stdout != want || got.stderr != "" {
		t.Errorf("%+v, want %s", got, want)
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := millrace(t, args...); got.code != 0 || !strings.Contains(got.stdout, "v1.2.3") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// Wrong command lines are named, and nothing is done.
func TestUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"nonsense", `unknown command "nonsense"`},
		{"version extra", "unknown command"},
		{"version --nonsense", "unknown flag"},
		{"validate", "requires at least 1 arg"},
		{"send", "accepts 1 arg(s)"},
		{"send a/b --type a/b", `address "a/b"`},
		{"send a/b/c", "type: missing"},
		{"send a/b/c --json 1", "type: missing"},
		{"send a/b/c --type nonsense", `typename "nonsense"`},
		{"send a/b/c --type a/b --json {", "is not JSON"},
		{"send a/b/c --type io.statefun.types/int --json 1.5", "is no io.statefun.types/int"},
		{"send a/b/c --type a/b --json 1 --string x", "none of the others can be"},
		{"send a/b/c --type a/b --file /does/not/exist", "no such file"},
		{"send a/b/c --type a/b --admin nowhere", "want host:port"},
		{"send a/b/c --type a/b --timeout 6m", `timeout: "6m0s", want`},
		{"send a/b/c --type a/b --key=", "key: \"\", want 1 to 255 printable ASCII characters"},
		{"resume a/b/c --timeout 0s", `timeout: "0s", want`},
		{"resume", "accepts 1 arg(s)"},
		{"suspended extra", "unknown command"},
		{"suspended --admin nowhere", "want host:port"},
		{"resume a/b", `address "a/b"`},
		{"resume a/b/c --admin-token-file /does/not/exist", "no such file"},
	} {
		got := millrace(t, strings.Fields(tt.args)...)
		if got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, tt.want) || !strings.HasPrefix(got.stderr, "error: ") {
			t.Errorf("%s: %+v; want 2 and %q", tt.args, got, tt.want)
		}
	}
	if got := millrace(t, "send", "a/b/c", "--string", "x", "--admin", "unix:/does/not/exist"); got.code != 1 || !strings.Contains(got.stderr, "is the engine running?") {
		t.Errorf("nobody listens: %+v", got)
	}
}

// The help of a command explains settings that it has, and no others.
func TestHelp(t *testing.T) {
	for command, settings := range map[string]bool{
		"run": true, "send": false, "suspended": false, "resume": false, "state get": false,
		"checkpoint list": false, "checkpoint inspect": false, "checkpoint create": false,
	} {
		got := millrace(t, append(strings.Fields(command), "--help")...)
		if got.code != 0 || !strings.Contains(got.stdout, "MILLRACE_CONFIG") || strings.Contains(got.stdout, "epoch-interval") != settings ||
			strings.Contains(got.stdout, "module file") != settings {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

// validate tells people where each problem is, and programs too.
func TestValidate(t *testing.T) {
	valid := file(t, "kind: io.millrace.http.v1/ingress\nspec: {address: '127.0.0.1:8090'}\n")
	lenient := file(t, "kind: io.statefun.endpoints.v2/http\nspec: {functions: a/*, urlPathTemplate: 'http://127.0.0.1/', colour: red}\n")
	invalid := file(t, "kind: io.millrace.http.v1/ingress\nspec:\n  address: nowhere\n  colour: red\n")
	tests := []struct {
		args     []string
		code     int
		stderr   []string // Beginnings of the lines.
		problems int
	}{
		{[]string{valid}, 0, nil, 0},
		{[]string{lenient}, 0, []string{lenient + ":2:"}, 1},
		{[]string{"--strict", lenient}, 2, []string{lenient + ":2:"}, 1},
		{[]string{invalid}, 2, []string{invalid + ":3:12: spec.address: ", invalid + ":4:3: spec.colour: unknown field; "}, 2},
		{[]string{valid, invalid}, 2, []string{invalid + ":3:12: ", invalid + ":4:3: "}, 2},
		{[]string{valid, "/does/not/exist"}, 2, []string{"/does/not/exist"}, 1},
	}
	for _, tt := range tests {
		got := millrace(t, append([]string{"validate"}, tt.args...)...)
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if got.code != tt.code || (got.stdout == "") != (tt.code == 2) || got.stderr != "" && len(lines) != len(tt.stderr) {
			t.Errorf("%v: %+v", tt.args, got)
			continue
		}
		for i, want := range tt.stderr {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%v: line %q; want %q", tt.args, lines[i], want)
			}
		}

		got = millrace(t, append([]string{"validate", "--json"}, tt.args...)...)
		var verdict struct {
			Valid    bool
			Problems []struct {
				File, Field, Message, Hint string
				Line, Column               int
				Warning                    bool
			}
			Wiring *struct{ Endpoints, Ingresses, Egresses []any }
		}
		err := json.Unmarshal([]byte(got.stdout), &verdict)
		if err != nil || got.code != tt.code || got.stderr != "" || strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("--json %v: %+v, %v", tt.args, got, err)
			continue
		}
		if verdict.Valid != (tt.code == 0) || len(verdict.Problems) != tt.problems || (verdict.Wiring != nil) != verdict.Valid {
			t.Errorf("--json %v: %s", tt.args, got.stdout)
		}
		for _, p := range verdict.Problems {
			if p.File == "" || p.Message == "" || p.Warning != verdict.Valid {
				t.Errorf("--json %v: %+v", tt.args, p)
			}
		}
	}
	for want, args := range map[string][]string{
		"valid: 0 endpoints, 1 ingress, 0 egresses\n":  {valid},
		"valid: 1 endpoint, 0 ingresses, 0 egresses\n": {lenient},
	} {
		if got := millrace(t, append([]string{"validate"}, args...)...); got.stdout != want {
			t.Errorf("%v: %+v, want %q", args, got, want)
		}
	}
	if got := millrace(t, "validate", ""); got.code != 2 || !strings.Contains(got.stderr, `"", want the name of a module file`) {
		t.Errorf("a file without a name: %+v", got)
	}
	if got := millrace(t, "validate", "--explain", valid, lenient); !strings.Contains(got.stdout, "listens on 127.0.0.1:8090\n") || !strings.Contains(got.stdout, "endpoint a/*: io.statefun.endpoints.v2/http") {
		t.Errorf("--explain: %+v", got)
	}
}

// A setting is taken from its flag, else from the environment, else from the config file.
func TestPrecedence(t *testing.T) {
	m := file(t, "kind: io.millrace.http.v1/ingress\nspec: {address: '127.0.0.1:0'}\n")
	other := filepath.Join(t.TempDir(), "does-not-exist.yaml")
	config := file(t, "module: ["+other+"]\napp: of the file\nshards: 3 # A comment.\nepoch-interval: off\nadmin: 127.0.0.1:0\n")
	env := []string{"MILLRACE_CONFIG=" + config, "MILLRACE_MODULE=" + m, "MILLRACE_APP=of the environment", "MILLRACE_STRICT=", "MILLRACE_ADMIN="}
	for _, tt := range []struct {
		env        []string
		args, want []string
	}{
		{nil, []string{"-m", m, "--config", config}, []string{`"application":"of the file"`, `"shards":3`}},
		{env, nil, []string{`"application":"of the environment"`, `"shards":3`}},
		{env, []string{"--app", "of the flag", "--shards=2"}, []string{`"application":"of the flag"`, `"shards":2`}},
	} {
		p := run(t, tt.env, tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(p.logged(), want) {
				t.Errorf("%v %v: the log has no %s", tt.env, tt.args, want)
			}
		}
		p.stop()
	}
	// Everything that is wrong, with where it stands.
	bad := file(t, "shards: many\ncolour: red\napp: [a, b]\nstrict: true\nstrict: false\nadmin:\n")
	got := millraceWith(t, []string{"MILLRACE_DRAIN_TIMEOUT=soon", "MILLRACE_SHARDS="}, "", "run", "--config", bad)
	for _, want := range []string{"MILLRACE_DRAIN_TIMEOUT: ", bad + ":3:6: app: want a value", bad + ":6:7: admin: want a value"} {
		if got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%+v; want %q", got, want)
		}
	}
}

// What is sent by hand arrives, and its answer comes back.
func TestSend(t *testing.T) {
	p := run(t, nil, "-m", serveFunctions(t, nil).module(t))
	raw := file(t, "\x00raw\xff")
	for _, tt := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{args: []string{"--string", "hello\nworld"}, want: "hello\nworld\n"},
		{args: []string{"--string", ""}, want: "\n"},
		{args: []string{"--type", "io.statefun.types/string", "--json", `"quoted \u00e9"`}, want: "quoted é\n"},
		{args: []string{"--type", "io.statefun.types/int", "--json", "-7"}, want: "-7\n"},
		{args: []string{"--type", "io.statefun.types/long", "--json", "9007199254740993"}, want: "9007199254740993\n"},
		{args: []string{"--type", "io.statefun.types/bool", "--json", "true"}, want: "true\n"},
		{args: []string{"--type", "io.statefun.types/float", "--json", "0.1"}, want: "0.1\n"},
		{args: []string{"--type", "io.statefun.types/double", "--json", "0.1"}, want: "0.1\n"},
		{args: []string{"--type", "shop/Add", "--json", `{"item": "tea"}`}, want: `{"item": "tea"}`},
		{args: []string{"--type", "shop/Text", "--string", "plain"}, want: "plain"},
		{args: []string{"--type", "shop/Raw", "--file", raw}, want: "\x00raw\xff"},
		{args: []string{"--type", "shop/Raw", "--file", "-"}, stdin: "piped", want: "piped"},
		{args: []string{"--type", "shop/Empty"}, want: ""},
	} {
		args := append([]string{"send", "example/echo/50% of ä/b", "--call"}, tt.args...)
		got := millraceWith(t, []string{"MILLRACE_ADMIN=" + p.admin}, tt.stdin, args...)
		if got.code != 0 || got.stdout != tt.want || got.stderr != "" {
			t.Errorf("%q: %+v; want %q", tt.args, got, tt.want)
		}
	}
	if got := millrace(t, "send", "example/echo/\xff", "--string", "x", "--admin", p.admin); got.code != 1 || strings.Count(got.stderr, "malformed") != 1 {
		t.Errorf("it is to be said once: %+v", got)
	}
	if got := millrace(t, "send", "nobody/knows/a", "--string", "x", "--admin", p.admin); got.code != 1 || !strings.Contains(got.stderr, "unknown_function_type") {
		t.Errorf("%+v", got)
	}
	p.stop()
}

// An address that is not on this machine alone asks for the token, and the token is not logged.
func TestToken(t *testing.T) {
	const secret = "open-sesame"
	token := file(t, secret+"\n")
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	p := run(t, []string{"MILLRACE_ADMIN_TOKEN_FILE=" + token}, "-m", serveFunctions(t, nil).module(t), "--admin", "0.0.0.0:0")
	admin := strings.NewReplacer("0.0.0.0", "127.0.0.1", "[::]", "127.0.0.1").Replace(p.admin)
	if got := millrace(t, "send", "example/echo/a", "--string", "x", "--admin", admin); got.code != 1 || !strings.Contains(got.stderr, "unauthorized") {
		t.Errorf("without the token: %+v", got)
	}
	if got := millrace(t, "send", "example/echo/a", "--string", "x", "--admin", admin, "--admin-token-file", token); got.code != 0 {
		t.Errorf("with the token: %+v", got)
	}
	p.stop()
	if !strings.Contains(p.logged(), "chmod 600") || strings.Contains(p.logged(), secret) {
		t.Error("the log does not warn of the token file, or tells the token")
	}
}

// An address whose function answers nonsense is suspended, and goes on when an operator says so. What is
// logged on the way is quoted, whatever the id, and no payload is in it.
func TestResume(t *testing.T) {
	f := serveFunctions(t, nil)
	f.broken.Store(true)
	p := run(t, nil, "-m", f.module(t))
	const address, canary = "example/echo/evil\n{\"level\":\"ERROR\"}\x1b[31m", "payload-canary"
	for range 2 {
		if got := millrace(t, "send", address, "--string", canary, "--admin", p.admin); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	blocked := func(want float64) func() bool {
		return func() bool {
			_, body := get(t, "http://"+p.admin+"/metrics")
			return metric(t, body, `millrace_function_blocked_addresses{function="echo",namespace="example"}`) == want
		}
	}
	eventually(t, "suspended", blocked(1))
	f.broken.Store(false)
	if got := millrace(t, "resume", address, "--skip", "--admin", p.admin); got.code != 0 || got.stdout+got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	eventually(t, "resumed", blocked(0))
	if got := millrace(t, "resume", "nobody/knows/a", "--admin", p.admin); got.code != 1 || !strings.Contains(got.stderr, "unknown_function_type") {
		t.Errorf("%+v", got)
	}
	p.stop()
	for line := range strings.Lines(p.logged()) {
		if !strings.HasPrefix(line, `{"time":`) || strings.Contains(line, "\x1b") || strings.Contains(line, canary) {
			t.Errorf("a line of the log is %q", line)
		}
	}
	if !strings.Contains(p.logged(), `"how":"skip"`) {
		t.Error("the log does not say who has resumed it")
	}
}

// All suspended addresses are listed, whatever their ids, and those of one function go on together.
func TestSuspended(t *testing.T) {
	f := serveFunctions(t, nil)
	f.broken.Store(true)
	p := run(t, nil, "-m", f.module(t))
	if got := millrace(t, "suspended", "--json", "--admin", p.admin); got.code != 0 || got.stdout != `{"addresses":[],"more":0}`+"\n" {
		t.Fatalf("none: %+v", got)
	}
	addresses := []string{"example/echo/a", "example/echo/evil\n\x1b[31m", "example/echo/b/*", "example/other/a"}
	for _, to := range addresses {
		if got := millrace(t, "send", to, "--string", "payload-canary", "--admin", p.admin); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	var list struct {
		Addresses []struct {
			Namespace, Type, ID, Error string
			SinceMS                    int64 `json:"since_ms"`
		}
		More int
	}
	names := func() (names []string) {
		got := millrace(t, "suspended", "--json", "--admin", p.admin)
		list.Addresses = nil
		if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || got.code != 0 {
			t.Fatalf("%v: %+v", err, got)
		}
		for _, a := range list.Addresses {
			if a.Error == "" || time.Since(time.UnixMilli(a.SinceMS)).Abs() > patience {
				t.Errorf("%+v", a)
			}
			names = append(names, a.Namespace+"/"+a.Type+"/"+a.ID)
		}
		return names
	}
	eventually(t, "all are suspended", func() bool { return len(names()) == len(addresses) })
	got := names()
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(addresses)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	lines := millrace(t, "suspended", "--admin", p.admin).stdout
	if strings.Count(lines, "\n") != len(addresses) || !strings.Contains(lines, `"example/echo/evil\n\x1b[31m" 20`) || strings.Contains(lines, "payload-canary") {
		t.Errorf("the lines are %q", lines)
	}

	if got := millrace(t, "resume", "example/nobody/*", "--admin", p.admin); got.code != 0 || got.stdout != "resumed 0 addresses\n" {
		t.Errorf("%+v", got)
	}
	f.broken.Store(false)
	if got := millrace(t, "resume", "example/echo/*", "--skip", "--admin", p.admin); got.code != 0 || got.stdout != "skipped a message at 3 addresses\n" {
		t.Errorf("%+v", got)
	}
	eventually(t, "those of the other function are left", func() bool { return slices.Equal(names(), addresses[3:]) })
	if got := millrace(t, "resume", "example/other/*", "--admin", p.admin); got.code != 0 || got.stdout != "resumed 1 address\n" {
		t.Errorf("%+v", got)
	}
	eventually(t, "none is left", func() bool { return len(names()) == 0 })
	p.stop()
	if !strings.Contains(p.logged(), `"how":"skip","function":"example/echo","addresses":3}`) {
		t.Error("the log does not say who has resumed them")
	}
}

// Messages that wait at a suspended address hold up no drain, and are not lost without a word.
func TestDrainSuspended(t *testing.T) {
	f := serveFunctions(t, nil)
	f.broken.Store(true)
	p := run(t, nil, "-m", f.module(t))
	if got := millrace(t, "send", "example/echo/a", "--string", "x", "--admin", p.admin); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	p.await("address suspended")
	p.stop()
	if !strings.Contains(p.logged(), `"msg":"messages at suspended addresses are lost","addresses":1,"messages":1}`) {
		t.Error("the log does not tell of the message")
	}
}

// Whoever waits in vain is told that, and not that nobody listens.
func TestSendTimeout(t *testing.T) {
	f := serveFunctions(t, make(chan struct{}))
	p := run(t, nil, "-m", f.module(t), "--drain-timeout", "1ms")
	got := millrace(t, "send", "example/echo/a", "--string", "x", "--call", "--timeout", "50ms", "--admin", p.admin)
	if got.code != 1 || !strings.Contains(got.stderr, "no answer in time") || strings.Contains(got.stderr, "is the engine running?") {
		t.Errorf("%+v", got)
	}
}
