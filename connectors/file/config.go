// SPDX-License-Identifier: Apache-2.0

package file

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Config says what a [Source] reads. Zero values stand for the defaults.
type Config struct {
	Path string // Of a regular file.

	// Typename is the type of the events. The value of an event is its line as it is, but for the built-in types
	// (io.statefun.types/…): text becomes a string, and a JSON number, true or false one of the others.
	Typename string

	// Key is a JSON pointer, such as /user/id, to what keys the events: a text, a number or a truth value in the
	// JSON object that each line then has to be. Empty: events have no key.
	Key string

	// Follow has the source wait for more at the end of the file instead of ending there.
	Follow bool
	// FollowInterval is how often it looks. Default 100 ms.
	FollowInterval time.Duration

	// LineBytesMax bounds a line. A longer one stops the source. Default 1 MiB.
	LineBytesMax int
}

// Ranges of the settings.
const (
	lineBytesMax = 1 << 30
	followMin    = time.Millisecond
	followMax    = time.Hour
)

func (c Config) withDefaults() Config {
	c.FollowInterval = cmp.Or(c.FollowInterval, 100*time.Millisecond)
	c.LineBytesMax = cmp.Or(c.LineBytesMax, 1<<20)
	return c
}

// Validate reports everything that is wrong with c, each with its field, value and accepted range.
func (c Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, fmt.Errorf("file: source: %s: %s", p.field, p.message))
	}
	return errors.Join(errs...)
}

// problem is something wrong with one field, named as module files have it.
type problem struct{ field, message string }

func (c Config) problems() (list []problem) {
	c = c.withDefaults()
	want := func(ok bool, field string, value any, accepted string) {
		if !ok {
			list = append(list, problem{field, fmt.Sprintf("%q: want %s", fmt.Sprint(value), accepted)})
		}
	}
	want(c.Path != "", "path", c.Path, "the path of a file")
	want(statefun.ValidateTypename(c.Typename) == nil, "valueType", c.Typename, "<namespace>/<name>")
	_, err := parsePointer(c.Key)
	want(err == nil, "key", c.Key, "a JSON pointer, such as /user/id")
	want(followMin <= c.FollowInterval && c.FollowInterval <= followMax, "followInterval", c.FollowInterval, "1ms to 1h")
	want(1 <= c.LineBytesMax && c.LineBytesMax <= lineBytesMax, "maxLineBytes", c.LineBytesMax, "1 to 1073741824")
	return list
}
