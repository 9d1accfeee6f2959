// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
)

// Whoever has to correct several things learns of all of them at the first try: what is wrong with the
// configuration does not hide what is wrong with the modules, nor does one module hide another.
func TestOpenSaysAllOfIt(t *testing.T) {
	config := engine.Config{Shards: -1, BatchMax: 1 << 20, Application: "a\nb"}
	_, err := engine.Open(t.Context(), config, named("a", state("n", "n")), named("b", state()), engine.Module{Name: "hollow"})
	if err == nil {
		t.Fatal("Open takes it")
	}
	for _, want := range []string{
		"Config.Application", "Config.Shards is -1: want 1 to", "Config.BatchMax is 1048576: want 1 to 65536",
		`test/probe: two state values are named "n"`, "test/probe is bound by module a and by module b", "module hollow: Bind is nil",
	} {
		if !containsPart(strings.Split(err.Error(), "\n"), want) {
			t.Errorf("no line with %q in\n%v", want, err)
		}
	}
}
