// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// memory is by how much the resident set grows for each actor that has had one message and is idle, what it is
// found by included.
func memory(s System, l keys.Load) (bytesEach float64, err error) {
	l.Messages = l.Keys
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	var done sync.WaitGroup
	add := adders(ring, &done)
	before, err := Resident()
	if err != nil {
		return 0, err
	}
	produce, executed, err := s.Counter(l.Keys, add)
	if err != nil {
		return 0, err
	}
	produce(ring.Cursor(0), l.Messages)
	done.Wait()
	after, err := Resident()
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(l.Keys), verify(l.Keys, executed, l.Messages)
}

// Resident is the resident set of this process in bytes, when all that is garbage has been given back. It needs
// Linux.
func Resident() (int64, error) {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	field, _, _ := bytes.Cut(rest, []byte("kB"))
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(field)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/status: VmRSS: %w", err)
	}
	return kib << 10, nil
}
