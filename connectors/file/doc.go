// SPDX-License-Identifier: Apache-2.0

// Package file reads events from a file of lines ([Source], a connector.Source): for batch input, and for tests.
//
// Each line is an event, an empty one too. Lines end with LF or CRLF, which are not part of the event. What
// follows the last of them is an event when the file is read to its end and not followed; a file that is
// followed may still grow there.
//
// # Position
//
// A position is how many bytes have been read, with a digest of some of them: the first 4 KiB, and the last
// 4 KiB before the position. A file that is shorter now, or has other bytes there, is another file and is
// refused: its events would be skipped, or taken twice. So a file may grow; what has been read of it must stay
// as it is, and log files that rotate are none to follow.
package file
