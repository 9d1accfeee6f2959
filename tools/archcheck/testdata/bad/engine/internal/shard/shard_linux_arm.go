// SPDX-License-Identifier: Apache-2.0

package shard

import "sync/atomic" // want "may not import sync/atomic"

var steps atomic.Int64
