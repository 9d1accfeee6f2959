// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
)

var _ connector.Source = (*Source)(nil)

// Source hands out the lines of a file.
type Source struct {
	c     Config
	value converter
	key   pointer // Nil: events have no key.

	file *os.File
	at   int64  // Behind the last event that was handed out.
	buf  []byte // What has been read behind at, in room.
	room []byte

	read     identity // Of what is before at.
	position []byte
}

// ErrReplaced is returned when the file is not the one that was read before: it is shorter, or has other bytes
// where it was read.
var ErrReplaced = errors.New("it is not the file that was read before")

// NewSource makes a source of c, or says what is wrong with it. It opens nothing yet.
func NewSource(c Config) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	key, err := parsePointer(c.Key)
	if err != nil {
		return nil, err
	}
	return &Source{c: c, key: key, value: converterOf(c.Typename)}, nil
}

// Open implements [connector.Source]. Without a position it begins with the first line.
func (s *Source) Open(ctx context.Context, position []byte) error {
	if err := s.open(ctx, position); err != nil {
		return fmt.Errorf("file: open %s: %w", s.c.Path, err)
	}
	return nil
}

func (s *Source) open(ctx context.Context, position []byte) (err error) {
	want, err := parsePosition(position)
	if err != nil {
		return err
	}
	// Looked at first: to open a pipe would wait for somebody to write into it.
	info, err := os.Stat(s.c.Path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file, and only of those can lines be read again")
	}
	if s.file, err = os.Open(s.c.Path); err != nil {
		return err
	}
	if info, err = s.file.Stat(); err != nil {
		return err
	}
	if info.Size() < want.offset {
		return fmt.Errorf("%w: it has %d bytes, and was read up to %d", ErrReplaced, info.Size(), want.offset)
	}
	if s.read, err = identify(s.file, want.offset); err != nil {
		return err
	}
	if s.read.at(want.offset) != want {
		return fmt.Errorf("%w: before offset %d it has other bytes", ErrReplaced, want.offset)
	}
	s.at = want.offset
	return ctx.Err()
}

// Poll implements [connector.Source].
func (s *Source) Poll(ctx context.Context, into *connector.Events) error {
	before := into.Len()
	for {
		for into.Room() > 0 {
			line, next, ok := s.line()
			if !ok {
				break
			}
			if err := s.emit(line, into); err != nil {
				if into.Len() > before { // What comes before is good; the next call meets this line again.
					return nil
				}
				return s.fail(err)
			}
			s.advance(next)
		}
		if into.Len() > before || into.Room() == 0 || ctx.Err() != nil {
			return nil
		}
		switch more, err := s.fill(); {
		case err != nil:
			return s.fail(err)
		case more:
		case s.c.Follow:
			if err := s.unchanged(); err != nil {
				return s.fail(err)
			}
			wait := time.NewTimer(s.c.FollowInterval)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
		default:
			return s.last(into)
		}
	}
}

func (s *Source) fail(err error) error {
	return fmt.Errorf("file: %s: at offset %d: %w", s.c.Path, s.at, err)
}

// line returns the next line if it is there with its end, and how many bytes it takes with that.
func (s *Source) line() (line []byte, next int, ok bool) {
	i := bytes.IndexByte(s.buf, '\n')
	if i < 0 {
		return nil, 0, false
	}
	return bytes.TrimSuffix(s.buf[:i], []byte("\r")), i + 1, true
}

// last hands out what is behind the last end of a line.
func (s *Source) last(into *connector.Events) error {
	if len(s.buf) > 0 {
		if err := s.emit(s.buf, into); err != nil {
			return s.fail(err)
		}
		s.advance(len(s.buf))
	}
	return io.EOF
}

func (s *Source) emit(line []byte, into *connector.Events) error {
	if len(line) > s.c.LineBytesMax {
		return s.tooLong()
	}
	var key []byte
	var err error
	if s.key != nil {
		if key, err = s.key.find(line); err != nil {
			return err
		}
	}
	value, err := s.value(line)
	if err != nil {
		return err
	}
	into.Append(key, s.c.Typename, value)
	return nil
}

func (s *Source) tooLong() error {
	return fmt.Errorf("the line has more than %d bytes", s.c.LineBytesMax)
}

func (s *Source) advance(bytes int) {
	s.read.add(s.buf[:bytes])
	s.at += int64(bytes)
	s.buf = s.buf[bytes:]
}

const readBytes = 64 << 10

// fill reads more of the file; false: there is no more by now.
func (s *Source) fill() (bool, error) {
	if len(s.buf) > s.c.LineBytesMax+len("\r\n") {
		return false, s.tooLong()
	}
	have := len(s.buf)
	if room := s.room; have >= len(room)/2 { // Doubled, so that a long line is not moved too often.
		s.room = make([]byte, max(readBytes, 2*len(room)))
	}
	copy(s.room, s.buf)
	n, err := s.file.ReadAt(s.room[have:], s.at+int64(have))
	s.buf = s.room[:have+n]
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n > 0, err
}

// unchanged fails when the file that is followed is not where it was, or has become shorter.
func (s *Source) unchanged() error {
	ours, err := s.file.Stat()
	if err != nil {
		return err
	}
	if read := s.at + int64(len(s.buf)); ours.Size() < read {
		return fmt.Errorf("%w: it has %d bytes, and was read up to %d", ErrReplaced, ours.Size(), read)
	}
	if there, err := os.Stat(s.c.Path); err != nil || !os.SameFile(ours, there) {
		return fmt.Errorf("%w: it has been moved, removed or replaced", ErrReplaced)
	}
	return nil
}

// Position implements [connector.Source].
func (s *Source) Position() []byte {
	s.position = s.read.at(s.at).append(s.position[:0])
	return s.position
}

// Close implements [connector.Source].
func (s *Source) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
