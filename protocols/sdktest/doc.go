// SPDX-License-Identifier: Apache-2.0

// Package sdktest holds no code, only tests: a whole engine with the HTTP protocol against functions that
// were written with the official SDKs of StateFun and run in processes of their own, which are killed,
// replaced, and made to misbehave. Where no SDK can produce a case, a server is driven by hand.
//
// It is a module of its own, so that nobody else needs the SDKs.
package sdktest
