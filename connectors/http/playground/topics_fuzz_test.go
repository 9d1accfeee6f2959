// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"fmt"
	"testing"
)

// The topics do what lists of payloads do, within their limits, whatever comes in whatever order.
func FuzzTopics(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 2, 0, 2, 2, 1, 3, 4, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2}) // Full, and empty again.
	f.Add([]byte{1, 1, 1, 0, 0, 0, 3, 0, 3, 0, 3, 0, 2, 1, 2, 1, 2, 1})                         // Too many bytes.
	f.Fuzz(func(t *testing.T, steps []byte) {
		const most, bytesMost = 8, 40
		names := []string{"a", "b"}
		topics := newTopics(names, most, bytesMost)
		model, bytes := map[string][]string{}, 0
		for i, step := range steps {
			topic, queue := names[step%2], model[names[step%2]]
			switch step % 6 / 2 {
			case 0:
				payload := fmt.Sprintf("%*d", int(step/6)%12, i)
				room := len(queue) < most && bytes+len(payload) <= bytesMost
				if got := topics.push(topic, payload); got != room {
					t.Fatalf("step %d: push = %t, want %t", i, got, room)
				}
				if room {
					model[topic], bytes = append(queue, payload), bytes+len(payload)
				}
			case 1:
				got, ok := topics.pop(topic)
				if ok != (len(queue) > 0) || ok && got != queue[0] {
					t.Fatalf("step %d: pop = %q, %t; want the first of %q", i, got, ok, queue)
				}
				if ok {
					model[topic], bytes = queue[1:], bytes-len(got)
				}
			case 2:
				got, ok := topics.peek(topic)
				if ok != (len(queue) > 0) || ok && got != queue[0] {
					t.Fatalf("step %d: peek = %q, %t; want the first of %q", i, got, ok, queue)
				}
			}
			if topics.bytes != bytes {
				t.Fatalf("step %d: %d bytes, want %d", i, topics.bytes, bytes)
			}
			if n := cap(topics.queues[topic].payloads); n > 4*most {
				t.Fatalf("step %d: room for %d payloads is held for %d", i, n, most)
			}
		}
	})
}
