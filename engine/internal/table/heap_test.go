// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// classSize and classOf are each other's inverse: the class of a size is the smallest one that holds it.
func TestHeapClasses(t *testing.T) {
	if got := classSize(classCount - 1); got != largestBlock {
		t.Fatalf("the last class holds %d bytes; want %d", got, largestBlock)
	}
	for n := 1; n <= largestBlock; n++ {
		c := classOf(n)
		if c < 0 || c >= classCount {
			t.Fatalf("classOf(%d) = %d", n, c)
		}
		size := classSize(c)
		if size < n || c > 0 && classSize(c-1) >= n {
			t.Fatalf("classOf(%d) = %d, of %d bytes; not the smallest", n, c, size)
		}
		if size%8 != 0 {
			t.Fatalf("class %d is %d bytes, which leaves the next block unaligned", c, size)
		}
		if n > 32 && (size-n)*4 > n+32 {
			t.Fatalf("%d bytes waste %d", n, size-n)
		}
	}
}

// Every size up to past the largest class is kept, aligned, and its memory used again.
func TestHeapSizes(t *testing.T) {
	heap := newHeap()
	content := make([]byte, 70_000)
	for i := range content {
		content[i] = byte(i*7 + i>>8)
	}
	for n := 0; n <= len(content); n++ {
		if n > 2048 && n%97 != 0 && n != largestBlock && n != largestBlock+1 && n < largestBlock-8 {
			continue
		}
		ref := heap.Put(content[:n])
		got := heap.Get(ref, n)
		if !bytes.Equal(got, content[:n]) {
			t.Fatalf("%d bytes were not kept", n)
		}
		if n > 0 && uintptr(unsafe.Pointer(&got[0]))%8 != 0 {
			t.Fatalf("%d bytes lie at %p", n, &got[0])
		}
		if n > 0 && heap.Bytes() < int64(n) {
			t.Fatalf("%d bytes count as %d", n, heap.Bytes())
		}
		heap.Free(ref)
		if heap.Bytes() != 0 {
			t.Fatalf("%d bytes leave %d behind", n, heap.Bytes())
		}
	}
	if most := int64(classCount * runBytes); heap.arena.Bytes() > most {
		t.Errorf("one string at a time took %d bytes of the arena; want at most a run for each class, %d", heap.arena.Bytes(), most)
	}
}

func newHeap() *Heap { return NewHeap(NewArena(func(n int) []byte { return make([]byte, n) })) }

// A heap keeps what was put, whatever else is put, changed in place and freed meanwhile.
func TestHeapModel(t *testing.T) {
	sizes := rapid.OneOf(
		rapid.IntRange(1, 40),
		rapid.IntRange(41, 5000),
		rapid.SampledFrom([]int{largestBlock - 8, largestBlock - 7, largestBlock, largestBlock + 1, 200_000}),
	)
	type kept struct {
		ref  Ref
		want []byte
	}
	rapid.Check(t, func(t *rapid.T) {
		heap := newHeap()
		var live []kept
		fill := byte(0)
		content := func(n int) []byte {
			fill++
			return bytes.Repeat([]byte{fill}, n)
		}
		which := func(t *rapid.T) int { return rapid.IntRange(0, len(live)-1).Draw(t, "which") }
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				b := content(sizes.Draw(t, "bytes"))
				live = append(live, kept{heap.Put(b), b})
			},
			"put some": func(t *rapid.T) {
				n := sizes.Draw(t, "bytes")
				for range rapid.IntRange(1, 10).Draw(t, "strings") {
					b := content(n)
					live = append(live, kept{heap.Put(b), b})
				}
			},
			"put nothing": func(t *rapid.T) {
				if ref := heap.Put(nil); ref != 0 || heap.Get(ref, 0) != nil {
					t.Fatalf("Put(nil) = %x", ref)
				}
				heap.Free(0)
			},
			"change": func(t *rapid.T) {
				if len(live) == 0 {
					return
				}
				k := &live[which(t)]
				k.want = content(len(k.want))
				copy(heap.Get(k.ref, len(k.want)), k.want)
			},
			"free": func(t *rapid.T) {
				if len(live) == 0 {
					return
				}
				i := which(t)
				heap.Free(live[i].ref)
				live = append(live[:i], live[i+1:]...)
			},
			"": func(t *rapid.T) {
				var used int64
				refs := map[Ref]bool{0: true}
				for _, k := range live {
					got := heap.Get(k.ref, len(k.want))
					if refs[k.ref] || !bytes.Equal(got, k.want) {
						t.Fatalf("ref %x, of %d bytes: named twice, or its bytes were changed", k.ref, len(k.want))
					}
					if cap(got) != len(got) && len(k.want) <= largestBlock {
						t.Fatalf("ref %x: appending to it would run over", k.ref)
					}
					refs[k.ref] = true
					if n := len(k.want); n > largestBlock {
						used += int64(n)
					} else {
						used += int64(classSize(classOf(n)))
					}
				}
				if heap.Bytes() != used {
					t.Fatalf("Bytes() = %d; want %d", heap.Bytes(), used)
				}
			},
		})
	})
}
