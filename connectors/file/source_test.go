// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for _, tt := range []struct {
		name, content string
		want          []string
	}{
		{"nothing", "", nil},
		{"one", "a\n", []string{"a"}},
		{"without its end", "a\nb", []string{"a", "b"}},
		{"CRLF", "a\r\nb\r\n", []string{"a", "b"}},
		{"CR inside", "a\rb\n\r\r\n", []string{"a\rb", "\r"}},
		{"CR at the end of the file", "a\r", []string{"a\r"}},
		{"empty ones", "\n\r\n\na\n\n", []string{"", "", "", "a", ""}},
		{"bytes", "\x00\xff\n", []string{"\x00\xff"}},
		{"longer than what is read at once", long + "\n" + long + "y", []string{long, long + "y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := drain(t, open(t, Config{Path: write(t, tt.content)}, nil), 2)
			if err != nil || !slices.Equal(values(got), tt.want) {
				t.Errorf("%.200q, %v; want %.200q", values(got), err, tt.want)
			}
			for _, e := range got {
				if e.key != "" || e.typename != rawType {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestLineBytesMax(t *testing.T) {
	const most = 100_000
	x := strings.Repeat("x", most)
	for _, end := range []string{"", "\n", "\r\n"} {
		s := open(t, Config{Path: write(t, "a\n"+x+end), LineBytesMax: most}, nil)
		if got, err := drain(t, s, 8); err != nil || len(got) != 2 || got[1].value != x {
			t.Errorf("a line at the limit, with %q: %d events, %v", end, len(got), err)
		}
		for range 2 { // It stays so.
			s = open(t, Config{Path: write(t, "a\n"+x+"y"+end), LineBytesMax: most}, nil)
			got, err := drain(t, s, 8)
			if err == nil || !strings.Contains(err.Error(), "at offset 2: the line has more than 100000 bytes") || len(got) != 1 {
				t.Errorf("a line beyond it, with %q: %d events, %v", end, len(got), err)
			}
		}
	}
	// What has no end is not read to its end.
	s := open(t, Config{Path: write(t, strings.Repeat("x", 8<<20)), LineBytesMax: most}, nil)
	if _, err := drain(t, s, 8); err == nil || len(s.room) > 8*most {
		t.Errorf("%v, with %d bytes of memory", err, len(s.room))
	}
}

// Wherever a source stops, another one goes on behind its last event, and the file may have grown meanwhile.
func TestResume(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		content := rapid.Custom(func(t *rapid.T) string {
			lines := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "bc", "\r", strings.Repeat("d", 5000), strings.Repeat("e", 70_000)}), 0, 12).Draw(t, "lines")
			ends := rapid.SampledFrom([]string{"\n", "\r\n"})
			var b strings.Builder
			for _, l := range lines {
				b.WriteString(l + ends.Draw(t, "end"))
			}
			return b.String()
		})
		path := write(t, content.Draw(rt, "content"))
		var got []string
		var position []byte
		for range rapid.IntRange(1, 6).Draw(rt, "runs") {
			s := open(t, Config{Path: path}, position)
			position = bytes.Clone(s.Position())
			for range rapid.IntRange(0, 4).Draw(rt, "polls") {
				list, err := poll(t.Context(), s, rapid.IntRange(1, 5).Draw(rt, "room"))
				got = append(got, values(list)...)
				position = bytes.Clone(s.Position())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
			extend(t, path, content.Draw(rt, "more"))
		}
		rest, err := drain(t, open(t, Config{Path: path}, position), 100)
		if err != nil {
			rt.Fatal(err)
		}
		got = append(got, values(rest)...)
		all, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(string(all)) {
			line = strings.TrimSuffix(line, "\n")
			want = append(want, strings.TrimSuffix(line, "\r"))
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%.300q, want %.300q", got, want)
		}
	})
}

// A position is good for the file that was read, and for no other.
func TestReplaced(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	content := strings.Repeat(line, 200)
	at := func(t *testing.T, path string, room int) []byte {
		s := open(t, Config{Path: path}, nil)
		if _, err := poll(t.Context(), s, room); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(s.Position())
	}
	for _, tt := range []struct {
		name string
		room int // How many lines have been read.
		now  string
		ok   bool
	}{
		{"as it was", 150, content, true},
		{"grown", 150, content + line, true},
		{"changed behind", 150, content[:15_000] + "other", true},
		{"shorter", 150, content[:14_999], false},
		{"empty", 1, "", false},
		{"changed at the beginning", 150, "y" + content[1:], false},
		{"changed just before", 150, content[:14_998] + "y" + content[14_999:], false},
		{"changed in a short file", 2, content[:100] + "y" + content[101:], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, content)
			position := at(t, path, tt.room)
			overwrite(t, path, tt.now)
			_, err := tryOpen(t, Config{Path: path}, position)
			if (err == nil) != tt.ok || err != nil && (!errors.Is(err, ErrReplaced) || !strings.Contains(err.Error(), path)) {
				t.Errorf("%v, want ok %t", err, tt.ok)
			}
		})
	}
}

// What cannot be read twice is refused, without waiting for it.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, os.DevNull, filepath.Join(dir, "missing")} {
		if _, err := tryOpen(t, Config{Path: path}, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, position := range [][]byte{{1}, make([]byte, positionBytes), append(position{}.append(nil), 0), append([]byte{1}, bytes.Repeat([]byte{255}, positionBytes-1)...)} {
		if _, err := tryOpen(t, Config{Path: write(t, "a\n")}, position); !errors.Is(err, errPosition) {
			t.Errorf("%x: %v", position, err)
		}
	}
}

// What comes before a bad line is handed out, and the source stays before the line, also for the next one.
func TestBadLine(t *testing.T) {
	c := Config{Path: write(t, "{\"k\":1}\n{\"k\":2}\n{}\n{\"k\":4}\n"), Key: "/k"}
	s := open(t, c, nil)
	got, err := poll(t.Context(), s, 10)
	if err != nil || len(got) != 2 || got[0].key != "1" || got[1].key != "2" {
		t.Fatalf("%+v, %v", got, err)
	}
	for range 2 {
		got, err := poll(t.Context(), s, 10)
		if len(got) > 0 || err == nil || !strings.Contains(err.Error(), "at offset 16: key /k: missing") {
			t.Errorf("%+v, %v", got, err)
		}
		s = open(t, c, s.Position())
	}
}

// A file that is followed hands lines out when they are whole, and does not end. Whoever needs the goroutine has
// it at once.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, "a\nb")
		s := open(t, Config{Path: path, Follow: true}, nil)
		got, err := poll(t.Context(), s, 10)
		if err != nil || !slices.Equal(values(got), []string{"a"}) {
			t.Fatalf("%q, %v", values(got), err)
		}
		type outcome struct {
			list []event
			err  error
		}
		done := make(chan outcome)
		next := func(ctx context.Context) {
			go func() {
				list, err := poll(ctx, s, 10)
				done <- outcome{list, err}
			}()
			synctest.Wait()
			select {
			case o := <-done:
				t.Fatalf("%q, %v; want it to wait", values(o.list), o.err)
			default:
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		next(ctx)
		cancel()
		if o := <-done; o.err != nil || len(o.list) > 0 {
			t.Errorf("interrupted: %q, %v", values(o.list), o.err)
		}
		next(t.Context())
		extend(t, path, "c\nd\n")
		if o := <-done; o.err != nil || !slices.Equal(values(o.list), []string{"bc", "d"}) {
			t.Errorf("%q, %v", values(o.list), o.err)
		}
		at := bytes.Clone(s.Position())
		for name, change := range map[string]func(){
			"truncated": func() { overwrite(t, path, "a\n") },
			"removed": func() {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
			"replaced": func() {
				if err := os.Rename(write(t, "a\nbc\nd\ne\n"), path); err != nil {
					t.Fatal(err)
				}
			},
		} {
			overwrite(t, path, "a\nbc\nd\n")
			s = open(t, Config{Path: path, Follow: true}, at)
			next(t.Context())
			change()
			if o := <-done; !errors.Is(o.err, ErrReplaced) || len(o.list) > 0 {
				t.Errorf("%s: %q, %v", name, values(o.list), o.err)
			}
		}
	})
}

// A source hands out no more than there is room for, and nothing without any.
func TestPollRoom(t *testing.T) {
	s := open(t, Config{Path: write(t, "a\nb\nc\n")}, nil)
	for _, want := range []string{"a", "b", "c"} {
		if got, err := poll(t.Context(), s, 1); err != nil || !slices.Equal(values(got), []string{want}) {
			t.Errorf("%q, %v", values(got), err)
		}
	}
	if got, err := poll(t.Context(), s, 0); err != nil || len(got) > 0 {
		t.Errorf("without room: %q, %v", values(got), err)
	}
}

func TestConfigValidate(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want []string
	}{
		{Config{Path: "f", Typename: "a/b", Key: "/a/0/b~1c", LineBytesMax: 1}, nil},
		{Config{}, []string{`path: "": want the path of a file`, `valueType: "": want <namespace>/<name>`}},
		{Config{Path: "f", Typename: "a/b", Key: "k"}, []string{`key: "k": want a JSON pointer, such as /user/id`}},
		{Config{Path: "f", Typename: "a/b", Key: "/~"}, []string{`key: "/~": want`}},
		{Config{Path: "f", Typename: "a/b", FollowInterval: -1, LineBytesMax: 1<<30 + 1}, []string{"followInterval: ", `maxLineBytes: "1073741825": want 1 to 1073741824`}},
	} {
		_, err := NewSource(tt.c)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%+v: %v", tt.c, err)
		}
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v lacks %q", tt.c, err, want)
			}
		}
	}
}

// Whatever a position holds: it is refused, or stands within the file.
func FuzzPosition(f *testing.F) {
	for _, seed := range [][]byte{nil, {0}, (&identity{}).at(0).append(nil), (&identity{head: []byte("a\n"), tail: []byte("a\n")}).at(2).append(nil)} {
		f.Add(seed)
	}
	path := write(f, "a\nb\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := tryOpen(t, Config{Path: path}, b)
		if err != nil {
			return
		}
		if s.at < 0 || s.at > 4 || len(b) > 0 && !bytes.Equal(s.Position(), b) {
			t.Errorf("%x: at %d, position %x", b, s.at, s.Position())
		}
	})
}
