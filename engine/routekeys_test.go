// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

type tallied interface {
	Add(*engine.Context, int64) error
}

type tally struct{ count int }

func (f *tally) Add(*engine.Context, int64) error { f.count++; return nil }

var (
	tallyType     = engine.Flat[int64]("test/tally")
	tallyFunction = engine.Define[tallied]("test/tally")
	tallyAdd      = engine.Accept(tallyFunction, tallyType, tallied.Add)
	tallyIn       = engine.NewIngress("test/tallies", tallyType)
)

// oneOf has an event among others that are as they should be, all in one poll.
type oneOf struct {
	key, typename string
	value         []byte
	polled        bool
}

func (*oneOf) Open(context.Context, []byte) error { return nil }

func (s *oneOf) Poll(_ context.Context, into *connector.Events) error {
	if s.polled {
		return io.EOF
	}
	s.polled = true
	into.Append([]byte("before"), "", tallyOne)
	into.Append([]byte(s.key), s.typename, s.value)
	into.Append([]byte("after"), "", tallyOne)
	return nil
}

func (*oneOf) Position() []byte { return nil }

func (*oneOf) Close() error { return nil }

var tallyOne = binary.LittleEndian.AppendUint64(nil, 1)

// RouteKey takes fixed types a short way. Nobody can tell, whatever the event: a second router has all events of an
// ingress take the long one.
func TestRouteKeyShortWay(t *testing.T) {
	id := func(bytes int) string { return strings.Repeat("k", bytes) }
	tests := []struct {
		name, key, typename string
		value               []byte
		taken               bool
	}{
		{"usual", "k", "", tallyOne, true},
		{"named", "k", "test/tally", tallyOne, true},
		{"other name", "k", "test/other", tallyOne, false},
		{"no key", "", "", tallyOne, false},
		{"no key, other name", "", "test/other", tallyOne, false},
		{"no UTF-8", "\xff\xfe", "", tallyOne, true},
		{"inline id", id(16), "", tallyOne, true},
		{"longer id", id(17), "", tallyOne, true},
		{"longest id", id(4096), "", tallyOne, true},
		{"too long an id", id(4097), "", tallyOne, false},
		{"short value", "k", "", tallyOne[:7], false},
		{"no value", "k", "", nil, false},
		{"neither key nor value", "", "", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run := func(long bool) (count int, failed string) {
				f := &tally{}
				e, err := engine.Open(t.Context(), engine.Config{Shards: 1, Logger: quiet}, bind(func(b *engine.Binder) {
					engine.Bind(b, tallyFunction, func(*engine.Schema) tallied { return f })
					engine.Connect(b, tallyIn, &oneOf{key: tt.key, typename: tt.typename, value: tt.value})
					engine.RouteKey(b, tallyIn, tallyAdd)
					if long {
						engine.RouteFunc(b, tallyIn, func(*engine.Downstream, int64) error { return nil })
					}
				}))
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Run(t.Context()); err != nil {
					failed = err.Error()
				}
				if err := e.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				return f.count, failed
			}
			count, failed := run(false)
			if wantCount, want := run(true); count != wantCount || failed != want {
				t.Errorf("%d messages, %q; by the long way %d, %q", count, failed, wantCount, want)
			}
			if (failed == "") != tt.taken || tt.taken != (count == 3) {
				t.Errorf("%d messages of 3, %q; taken: want %t", count, failed, tt.taken)
			}
		})
	}
}
