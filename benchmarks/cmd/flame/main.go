// SPDX-License-Identifier: Apache-2.0

// Command flame writes the flame graph of a profile as one HTML page, which any browser shows: the page of
// `go tool pprof -http`, made by the same code, with no server left running. It needs no graphviz, which
// `go tool pprof -svg` does. Of the page's menus only those of the graph itself work.
//
//	flame [pprof's flags] PROFILE PAGE
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/google/pprof/driver"
)

func main() {
	last := len(os.Args) - 1
	if last < 2 {
		fmt.Fprintln(os.Stderr, "usage: flame [pprof's flags] PROFILE PAGE")
		os.Exit(2)
	}
	if err := write(os.Args[last], os.Args[1:last]...); err != nil {
		fmt.Fprintln(os.Stderr, "flame:", err)
		os.Exit(1)
	}
}

// write renders what pprof is given into a file.
func write(page string, args ...string) error {
	var html []byte
	args = append([]string{"-http=localhost:1", "-no_browser", "-symbolize=none"}, args...)
	err := driver.PProf(&driver.Options{
		Flagset: &arguments{flag.NewFlagSet("flame", flag.ContinueOnError), args},
		UI:      quiet{},
		HTTPServer: func(server *driver.HTTPServerArgs) error { // Instead of listening.
			recorder := httptest.NewRecorder()
			server.Handlers["/flamegraph"].ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/flamegraph", nil))
			if html = recorder.Body.Bytes(); recorder.Code != http.StatusOK {
				return fmt.Errorf("flame graph: %s", html)
			}
			return nil
		},
	})
	if err == nil && len(html) == 0 {
		err = errors.New("pprof has rendered nothing")
	}
	if err != nil {
		return err
	}
	return os.WriteFile(page, html, 0o644)
}

// arguments gives pprof its command line. It asks for flags in a form of its own.
type arguments struct {
	*flag.FlagSet
	list []string
}

// StringList implements [driver.FlagSet].
func (a *arguments) StringList(name, value, usage string) *[]*string {
	return &[]*string{a.String(name, value, usage)}
}

// ExtraUsage implements [driver.FlagSet].
func (*arguments) ExtraUsage() string { return "" }

// AddExtraUsage implements [driver.FlagSet].
func (*arguments) AddExtraUsage(string) {}

// Parse implements [driver.FlagSet].
func (a *arguments) Parse(usage func()) []string {
	a.Usage = usage
	if err := a.FlagSet.Parse(a.list); err != nil {
		return nil
	}
	return a.Args()
}

// quiet leaves out what pprof says to somebody who sits there: that it serves, and where.
type quiet struct{}

// ReadLine implements [driver.UI].
func (quiet) ReadLine(string) (string, error) { return "", io.EOF }

// Print implements [driver.UI].
func (quiet) Print(...any) {}

// PrintErr implements [driver.UI].
func (quiet) PrintErr(args ...any) { fmt.Fprintln(os.Stderr, append([]any{"flame:"}, args...)...) }

// IsTerminal implements [driver.UI].
func (quiet) IsTerminal() bool { return false }

// WantBrowser implements [driver.UI].
func (quiet) WantBrowser() bool { return false }

// SetAutoComplete implements [driver.UI].
func (quiet) SetAutoComplete(func(string) string) {}
