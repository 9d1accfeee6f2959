// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// The first visits are told apart by their words, later ones by their number.
func TestWords(t *testing.T) {
	for number, want := range map[int32]string{
		1:  "Welcome, Bob! Please come in.",
		2:  "Bob, you are back. How nice.",
		3:  "Third time, Bob: your chair is by the window.",
		4:  "The usual, Bob? This is visit 4.",
		40: "The usual, Bob? This is visit 40.",
	} {
		if got := words(visit{"Bob", number}); got != want {
			t.Errorf("visit %d: %q, want %q", number, got, want)
		}
	}
}
