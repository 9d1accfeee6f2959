// SPDX-License-Identifier: Apache-2.0

// Package backend is the port behind which state is kept: what the engine asks of persistence, and the
// format of what it hands over. Implementations live in modules of their own and are tested with
// package backendtest; what they must survive is written at [Backend].
package backend
