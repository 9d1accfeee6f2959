// SPDX-License-Identifier: Apache-2.0

package keys

// IDBytes is the length of every id.
const IDBytes = 16

const (
	prefix = "key-"
	digits = IDBytes - len(prefix)
)

// AppendID appends the id of key number k: "key-" and twelve decimal digits.
func AppendID(dst []byte, k int) []byte {
	dst = append(dst, prefix+"000000000000"...)
	for i := len(dst) - 1; k > 0; i-- {
		dst[i] = byte('0' + k%10)
		k /= 10
	}
	return dst
}

// ID returns the id of key number k.
func ID(k int) string { return string(AppendID(nil, k)) }

// Index returns the number of the key that id belongs to; ok is false when AppendID never made id.
func Index(id string) (k int, ok bool) {
	if len(id) != IDBytes || id[:len(prefix)] != prefix {
		return 0, false
	}
	for i := len(prefix); i < IDBytes; i++ {
		d := id[i] - '0'
		if d > 9 {
			return 0, false
		}
		k = k*10 + int(d)
	}
	return k, true
}
