// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"testing"
	"time"
)

// Tests of pure packages may do what they like.
func TestStep(t *testing.T) {
	go time.Now()
}
