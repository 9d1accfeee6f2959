// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A document ends where a line begins with "---" or "...", whatever is around it; line counts on.
func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"# a\n\n  # b\n":              nil,
		"---\n--- # c\n...\n":         nil,
		"%YAML 1.1\n":                 nil,
		"a":                           {"0 a"},
		"---":                         nil,
		"a\n---\nb":                   {"0 a\n", "1 ---\nb"},
		"# x\n---\na\n":               {"0 # x\n---\na\n"},
		"%YAML 1.1\n---\na\n":         {"0 %YAML 1.1\n---\na\n"},
		"a\n...\n%Y\n---\nb":          {"0 a\n...\n", "2 %Y\n---\nb"},
		"--- a\n--- b":                {"0 --- a\n", "1 --- b"},
		"a\r\n---\r\nb\r\n":           {"0 a\r\n", "1 ---\r\nb\r\n"},
		"a: |\n  ---\n b":             {"0 a: |\n  ---\n b"},
		"---a\n----\n":                {"0 ---a\n----\n"},
		"a:\u2028\r  \u0085b\n---\nc": {"0 a:\u2028\r  \u0085b\n", "4 ---\nc"},
	} {
		var got []string
		for _, p := range split(text) {
			got = append(got, fmt.Sprintf("%d %s", p.line, p.text))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is divided into %q, want %q", text, got, want)
		}
	}
}

// What no file should hold is refused at its place before anything is made of it.
func TestLoadRefusesContent(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"NUL", "a: b\n\x00", ":2:1: the control character U+0000; remove it"},
		{"DEL", "a: \x7f", ":1:4: the control character U+007F; remove it"},
		{"no character", "a: \ufffe", ":1:4: the control character U+FFFE; remove it"},
		{"behind wide characters", "é: ü\xff", ":1:5: not UTF-8; save the file as UTF-8"},
		{"half a character", "a: \xc3", ":1:4: not UTF-8; save the file as UTF-8"},
		{"other line ends", "a:\r\u2028  \x01", ":3:3: the control character U+0001; remove it"},
		{"depth in brackets", strings.Repeat("[", 1000), ":1:33: mappings and lists inside each other, more than 32; no component needs so many"},
		{"depth in braces", strings.Repeat("{a: ", 40), ":1:129: mappings and lists inside each other, more than 32; no component needs so many"},
		{"depth of lists", strings.Repeat("- ", 1000), ":1:65: mappings and lists inside each other, more than 32; no component needs so many"},
		{"depth of keys", strings.Repeat("? ", 1000), ":1:65: mappings and lists inside each other, more than 32; no component needs so many"},
		{"values in brackets", "[" + strings.Repeat("a,", bytesMax/2-1), ":1:100001: more than 50000 values; divide the file: several can be given"},
		{"values in lines", strings.Repeat("a:\n", bytesMax/3), ":50001:2: more than 50000 values; divide the file: several can be given"},
		{"values in documents", strings.Repeat("---\n", bytesMax/4), ":50001:3: more than 50000 values; divide the file: several can be given"},
		{"a long name", strings.Repeat("n", 257) + ": x\nkind: test/none\nspec: {}", ":1:1: the name of a field has more than 256 bytes; give it a shorter name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := messages(checkContent(t, []byte(tt.text))); !strings.HasPrefix(got, "fuzz.yaml"+tt.want+"\n") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The costliest files that there are: they may cost what one bomb of a megabyte costs, not more.
func TestLoadBombs(t *testing.T) {
	const size = bytesMax - 100
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	few := func(s string) string { return strings.Repeat(s, valuesMax/2) }
	for name, text := range map[string]string{
		"values":       "[" + few("a,") + few("b,")[2:] + "]",
		"mappings":     "[" + few("{},")[3:] + "]",
		"anchors":      "[" + few("&a a,") + "]",
		"aliases":      "[&a a," + few("*a,") + "]",
		"tags":         "[" + few("!a a,") + "]",
		"names":        "{" + few("a,") + "}",
		"documents":    few("a\n---\n"),
		"ends":         fill("...\n"),
		"components":   few("kind: a\n---\n"),
		"kinds":        strings.Repeat("kind: io.statefun.x\nspec: {}\n---\n", valuesMax/4),
		"listens":      strings.Repeat("kind: io.millrace.http.v1/ingress\nspec: {address: \"[::1]:80\"}\n---\n", valuesMax/8),
		"unknown":      "kind: io.statefun.playground.v1/egress\nspec: {port: 80, topics: [a], " + numbered("x%d: a, ", valuesMax/3) + "}",
		"long names":   "kind: a\nspec:\n" + numbered("  "+strings.Repeat("n", 200)+"%d: *a\n", size/220),
		"unset":        "[" + few("'${A}',")[7:] + "]",
		"unset in one": "kind: '" + few("${A}") + few("${B}")[4:] + "'",
		"escaped":      "kind: '" + few("$${A}") + few("${B}")[4:] + "'",
		"nested":       "kind: '" + few("${A:") + "'",
		"open":         "kind: '" + few("${") + "'",
		"comments":     fill("#\n"),
		"blank lines":  fill("\n"),
		"blanks":       fill(" "),
		"text":         fill("a\n"),
		"long line":    "kind: " + fill("a"),
		"quoted":       `kind: "` + fill(`\n`) + `"`,
		"block":        "kind: |\n" + fill(" x\n"),
		"directives":   fill("%YAML 1.1\n"),
		"colons":       fill(":"),
		"broken":       few("'\n---\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if p, bad := unreadable(text); bad && name != "colons" {
				t.Fatalf("refused before it costs anything: %v", p)
			}
			checkContent(t, []byte(text))
		})
	}
}

func numbered(format string, n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, format, i)
	}
	return s.String()
}

// allocated returns the bytes that f takes from the heap.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}
