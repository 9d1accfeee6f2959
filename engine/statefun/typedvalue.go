// SPDX-License-Identifier: Apache-2.0

package statefun

// TypedValue is a value as it is on the wire: the name of its type and its bytes. A value of zero bytes
// is a value; that there is none at all is said elsewhere, never by an empty Value.
type TypedValue struct {
	Typename string
	Value    []byte
}
