// SPDX-License-Identifier: Apache-2.0

package checkpoint

import "errors"

// touchedNumber stands in the place of a value's number behind the last value of an instance that is dropped
// when it has not been messaged for some time. Its stamp says when it was last messaged; it has no bytes.
const touchedNumber = NumbersMax

// AppendTouched ends the value of a state entry with the instant, in milliseconds, from which the time of the
// whole instance counts.
func AppendTouched(dst []byte, stamp int64) []byte {
	return append(AppendStampedNumber(dst, touchedNumber, stamp), 0)
}

// CutTouched splits what AppendTouched has appended from the value of a state entry that Validate accepts.
func CutTouched(entry []byte) (values []byte, stamp int64, ok bool) {
	for at := 0; at < len(entry); {
		v, next, err := parseValue(entry, at)
		if err != nil {
			break
		}
		if v.Number == touchedNumber {
			return entry[:at:at], v.Stamp, true
		}
		at = next
	}
	return entry, 0, false
}

// checkTouched reports what is wrong with what takes the place of a value.
func (v *Value) checkTouched(last bool) error {
	if v.Number == touchedNumber && (!v.Stamped || len(v.Bytes) > 0 || !last) {
		return errors.New("bad time of an instance")
	}
	return nil
}
