// SPDX-License-Identifier: Apache-2.0

package timerwheel

import (
	"encoding/binary"
	"testing"
)

// FuzzWheel reads calls from data, nine bytes each: which call, and a number. Wheel and model must
// agree on all of them.
func FuzzWheel(f *testing.F) {
	call := func(data []byte, op byte, n uint64) []byte {
		return binary.LittleEndian.AppendUint64(append(data, op), n)
	}
	cascade := call(call(nil, 7, day), 7, day)
	f.Add(call(call(nil, 7, 100), 6, 100))
	f.Add(call(call(call(cascade, 4, day-300), 0, 300), 6, 300))
	f.Add(call(call(call(call(cascade, 2, 5), 5, day+1), 0, 0), 6, 0)) // A tie with a slot half sorted.
	f.Add(call(call(call(call(call(nil, 1, minute), 1, minute), 2, 7), 3, 0), 6, 0))
	f.Add([]byte{})

	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPair(t, today)
		for calls := 0; len(data) >= 9 && calls < 200; calls++ {
			n := binary.LittleEndian.Uint64(data[1:])
			delay := int64(n >> 1)
			switch data[0] % 8 {
			case 0:
				p.add(later(p.m.now, delay))
			case 1:
				p.add(p.m.now - delay%year)
			case 2:
				if len(p.handles) > 0 {
					p.cancel(n % uint64(len(p.handles)))
				}
			case 3:
				p.pop(p.m.now)
			case 4:
				p.pop(later(p.m.now, delay))
			case 5:
				p.advance(later(p.m.now, delay), int(n%100))
			case 6:
				for now := later(p.m.now, delay); p.pop(now); {
				}
				p.check()
			case 7: // More than a block.
				for range blockLen + 1 {
					p.add(later(p.m.now, delay))
				}
			}
			data = data[9:]
		}
		p.check()
	})
}
