// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/millrace-io/millrace/engine/kind"
)

// bytesMax bounds a file. The largest modules that anybody writes by hand have some thousand lines.
const bytesMax = 1 << 20

// read returns the content of a file, if it can be a module file.
func (l *loader) read(name string) (text []byte, ok bool) {
	wrong := func(message, hint string) ([]byte, bool) {
		l.report(kind.Problem{Position: kind.Position{File: name}, Message: message, Hint: hint})
		return nil, false
	}
	tooLarge := func() ([]byte, bool) {
		return wrong(fmt.Sprintf("larger than %d bytes, the most a module file may have", bytesMax), "divide it: several files can be given")
	}

	// Non-blocking, because to open a pipe that nobody writes to would wait for ever.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return wrong(cause(err), "check the path, and who may read the file")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return wrong(cause(err), "")
	case info.IsDir():
		return wrong("a directory: want a module file", "give the files that are in it")
	case !info.Mode().IsRegular():
		return wrong("neither a file nor a directory: want a module file", "what comes through a pipe has to be written to a file first")
	case info.Size() > bytesMax:
		return tooLarge()
	}
	for _, before := range l.given {
		if os.SameFile(before.info, info) {
			return wrong("given twice: it is the same file as "+before.name, "give it once")
		}
	}
	l.given = append(l.given, given{name, info})

	// The size is only what the file says of itself; those of /proc say 0.
	switch text, err = io.ReadAll(io.LimitReader(f, bytesMax+1)); {
	case err != nil:
		return wrong(cause(err), "")
	case len(text) > bytesMax:
		return tooLarge()
	}
	return text, true
}

// cause is what is behind an error, without the name of the file.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}
