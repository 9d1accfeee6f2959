// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
)

// A real profile becomes one page with the functions that it knows of, which loads nothing from elsewhere.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	profile, page := filepath.Join(dir, "goroutines.prof"), filepath.Join(dir, "page.html")
	f, err := os.Create(profile)
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.Lookup("goroutine").WriteTo(f, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := write(page, "-sample_index=0", profile); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<!DOCTYPE html>", "testing.tRunner"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, elsewhere := range []string{`src="`, `href="http`, `@import`} {
		if strings.Contains(string(html), elsewhere) {
			t.Errorf("the page has %q", elsewhere)
		}
	}
}

// What is no profile is refused, and no page is left.
func TestWriteNoProfile(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	if err := write(page, "main.go"); err == nil {
		t.Error("a Go file was taken for a profile")
	}
	if _, err := os.Stat(page); err == nil {
		t.Error("a page was written")
	}
}
