// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/tools/millrace/admin"
)

// many is an engine with many suspended addresses.
type many struct {
	admin.Engine
	suspended []engine.SuspendedAddress
}

func (m many) Suspended() []engine.SuspendedAddress { return m.suspended }

// A list is bounded, the longest suspended first, and ids that are no text come back as they are.
func TestSuspended(t *testing.T) {
	s, _ := serve(t, "127.0.0.1:0", "")
	c := client(t, s, "")
	if _, err := c.Suspended(t.Context()); err == nil {
		t.Error("there is a list before there is an engine")
	}
	const n = 10_003
	var m many
	began := time.UnixMilli(1_000_000)
	for i := range n {
		m.suspended = append(m.suspended, engine.SuspendedAddress{
			Address: parrotAddress(fmt.Sprintf("\xff%d", i)), Since: began.Add(time.Duration(n-i) * time.Millisecond),
			Err: errors.New(strings.Repeat("x", 10_000)),
		})
	}
	s.Watch(m, nil)
	got, err := c.Suspended(t.Context())
	if err != nil || len(got.Addresses) != 10_000 || got.More != 3 {
		t.Fatalf("%d addresses and %d more, %v", len(got.Addresses), got.More, err)
	}
	for i, a := range got.Addresses {
		if a.Address() != parrotAddress(fmt.Sprintf("\xff%d", n-1-i)) || a.SinceMS != 1_000_001+int64(i) || len(a.Error) > 310 {
			t.Fatalf("%d: %+v", i, a)
		}
	}
}
