// SPDX-License-Identifier: Apache-2.0

package clock

type Instant int64

func Now() Instant { return 0 }
