// SPDX-License-Identifier: Apache-2.0

// Package httpload sends HTTP requests at a rate that does not depend on how fast they are answered, and
// measures how long each took from the moment at which it was due.
//
// A generator that sends the next request when the last one has been answered stops with the server: of a
// stall, in which thousands would have waited, it notes a single slow request. Here requests come due by a
// schedule of their own, as those of independent users do; one that finds all connections busy waits, and
// its latency counts from when it was due.
package httpload
