// SPDX-License-Identifier: Apache-2.0

package promises

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// faults is how many there are of each kind.
var faults = map[string]int{"C": 16, "D": 14, "S": 12, "K": 18, "R": 17, "U": 10, "T": 5, "L": 4, "M": 7, "H": 15, "P": 42}

// Each fault and each rule has one row, and each row names a test, a make target, or what is missing.
func TestRows(t *testing.T) {
	have := map[string]int{}
	for _, row := range rows(t) {
		for _, id := range ids(row[0]) {
			have[id]++
		}
		last := row[len(row)-1]
		if !named.MatchString(last) && !target.MatchString(last) && !strings.Contains(last, "not yet") {
			t.Errorf("%s names no test, and does not say what is missing: %s", row[0], last)
		}
	}
	for kind, count := range faults {
		for n := 1; n <= count; n++ {
			id := kind + strconv.Itoa(n)
			if have[id] != 1 {
				t.Errorf("%s has %d rows; want 1", id, have[id])
			}
			delete(have, id)
		}
	}
	if len(have) > 0 {
		t.Errorf("rows of what there is not: %v", have)
	}
}

// What the page names is there: tests and their parts, make targets, files.
func TestNames(t *testing.T) {
	page, tests, parts := page(t), map[string]bool{}, ""
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(b), -1) {
			tests[m[1]] = tests[m[1]] || strings.HasSuffix(path, "_test.go")
		}
		if strings.Contains(path, "test") {
			parts += string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range named.FindAllStringSubmatch(page, -1) {
		if !tests[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
		if m[2] != "" && !strings.Contains(parts, `"`+m[2]+`"`) && !strings.Contains(parts, `"`+strings.ReplaceAll(m[2], "_", " ")+`"`) {
			t.Errorf("%s has no part %s", m[1], m[2])
		}
	}
	makefile := read(t, "Makefile")
	for _, m := range target.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("there is no make target %s", m[1])
		}
	}
	for _, m := range file.FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, "engine", "internal", m[1])); err == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("there is no file %s", m[1])
		}
	}
}

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	named    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")
	target   = regexp.MustCompile("`make ([a-z-]+)")
	file     = regexp.MustCompile("`([a-z/]+/[a-z_]+\\.go)`")
)

// rows are the rows of the tables of faults and rules, by their cells.
func rows(t *testing.T) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(page(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if cells[0] = strings.TrimSpace(cells[0]); len(cells) > 2 && regexp.MustCompile(`^[A-Z]\d+( to [A-Z]\d+)?$`).MatchString(cells[0]) {
			rows = append(rows, cells)
		}
	}
	return rows
}

// ids are what a row is of: one, or several in a row.
func ids(cell string) (ids []string) {
	first, last, several := strings.Cut(cell, " to ")
	if !several {
		return []string{cell}
	}
	var from, to int
	_, _ = fmt.Sscan(first[1:], &from)
	_, _ = fmt.Sscan(last[1:], &to)
	for n := from; n <= to; n++ {
		ids = append(ids, first[:1]+strconv.Itoa(n))
	}
	return ids
}

func page(t *testing.T) string { return read(t, "docs/reliability.md") }

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
