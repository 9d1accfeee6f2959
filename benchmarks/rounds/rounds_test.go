// SPDX-License-Identifier: Apache-2.0

package rounds

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{8}, 8},
		{[]float64{8, 2}, 5},
		{[]float64{9, 1, 4}, 4},
	}
	for _, tt := range tests {
		before := slices.Clone(tt.values)
		if got := Median(tt.values); got != tt.want || !slices.Equal(tt.values, before) {
			t.Errorf("the median of %v is %v, want %v; they are %v now", before, got, tt.want, tt.values)
		}
	}
}

// What is saved says where it comes from.
func TestSave(t *testing.T) {
	name, err := Save(t.Context(), t.TempDir()+"/new", "some", "figures\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# commit: ", "# machine: ", "figures\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q:\n%s", name, want, text)
		}
	}
}

// A command that fails says why.
func TestOutput(t *testing.T) {
	if out, err := Output(exec.CommandContext(t.Context(), "go", "version")); err != nil || !strings.HasPrefix(string(out), "go version") {
		t.Errorf("go version: %q, %v", out, err)
	}
	if out, err := Output(exec.CommandContext(t.Context(), "go", "no-such-command")); err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("go no-such-command: %q, %v", out, err)
	}
}

func TestMachine(t *testing.T) {
	m := Machine{CPU: "Z80", Cores: 3, MemoryBytes: 3 << 30, OS: "cpm", Arch: "z80", Go: "go1"}
	if got, want := m.String(), "Z80, 3 cores, 3 GiB, cpm/z80, go1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.MemoryBytes = 0
	if got, want := m.String(), "Z80, 3 cores, cpm/z80, go1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if m := ThisMachine(); m.Cores < 1 || m.CPU == "" || m.Go == "" {
		t.Errorf("this machine is %+v", m)
	}
}
