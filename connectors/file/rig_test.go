// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/engine/connector"
)

const rawType = "t/line"

// event is a connector.Event that can be compared.
type event struct{ key, typename, value string }

// write makes a file and returns its path.
func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	overwrite(t, path, content)
	return path
}

func overwrite(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func extend(t testing.TB, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// open returns a source that stands at a position, and is closed with the test.
func open(t testing.TB, c Config, position []byte) *Source {
	t.Helper()
	s, err := tryOpen(t, c, position)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryOpen(t testing.TB, c Config, position []byte) (*Source, error) {
	t.Helper()
	if c.Typename == "" {
		c.Typename = rawType
	}
	s, err := NewSource(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, s.Open(t.Context(), position)
}

// poll asks once, for so many events at most.
func poll(ctx context.Context, s *Source, room int) (list []event, err error) {
	into := connector.NewEvents(room)
	err = s.Poll(ctx, into)
	var e connector.Event
	for i := range into.Len() {
		into.At(i, &e)
		list = append(list, event{string(e.Key), e.Typename, string(e.Value)})
	}
	return list, err
}

// drain asks until the source ends, and returns what it ends with if that is not io.EOF.
func drain(t testing.TB, s *Source, room int) (all []event, err error) {
	t.Helper()
	for {
		list, err := poll(t.Context(), s, room)
		all = append(all, list...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if len(list) == 0 {
			t.Fatal("neither events nor an end")
		}
	}
}

func values(list []event) (values []string) {
	for _, e := range list {
		values = append(values, e.value)
	}
	return values
}
