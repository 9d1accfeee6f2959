// SPDX-License-Identifier: Apache-2.0

// Package promises checks docs/reliability.md: each fault and each rule is in it, and the tests, make targets and
// files that it names are there.
package promises
