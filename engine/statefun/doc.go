// SPDX-License-Identifier: Apache-2.0

// Package statefun is the vocabulary that every part of Millrace shares: addresses, function types,
// typed values and the codecs that make them, key groups and epochs. It imports nothing of ours and
// holds no behaviour beyond naming, placing and encoding.
package statefun
