// SPDX-License-Identifier: Apache-2.0

// Package rounds is what comparisons share that measure all programs in every round, in turns, so that a slow
// minute of the machine hits all of them: medians, and where and of what a measurement was taken.
package rounds

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Median is the median of values; of an even number, the mean of the two in the middle; of none, 0.
func Median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Save writes the raw output of a comparison, below where it was taken, to a new file in a folder, and returns
// the file's name.
func Save(ctx context.Context, folder, comparison, text string) (name string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	name = filepath.Join(folder, comparison+"-"+time.Now().UTC().Format("20060102-150405")+".txt")
	text = fmt.Sprintf("# commit: %s\n# machine: %s\n%s", Commit(ctx), ThisMachine(), text)
	return name, os.WriteFile(name, []byte(text), 0o644)
}

// Machine is where a measurement was taken.
type Machine struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"` // 0: unknown.
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Go          string `json:"go"`
}

// ThisMachine describes the machine that this process runs on.
func ThisMachine() Machine {
	kib, _ := strconv.ParseInt(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	return Machine{
		CPU: cmp.Or(procField("/proc/cpuinfo", "model name"), "unknown CPU"), Cores: runtime.NumCPU(), MemoryBytes: kib << 10,
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(),
	}
}

// String is m on one line.
func (m Machine) String() string {
	memory := ""
	if m.MemoryBytes > 0 {
		memory = fmt.Sprintf(" %.0f GiB,", float64(m.MemoryBytes)/(1<<30))
	}
	return fmt.Sprintf("%s, %d cores,%s %s/%s, %s", m.CPU, m.Cores, memory, m.OS, m.Arch, m.Go)
}

// procField is the first value of a name in one of Linux's files, or nothing.
func procField(file, field string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Commit is the commit of the working tree, marked when the tree differs from it.
func Commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=-modified").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// BuildLoadgen builds the command that measures Millrace into a folder.
func BuildLoadgen(ctx context.Context, dir string) (path string, err error) {
	return Build(ctx, dir, "github.com/millrace-io/millrace/loadgen/cmd/loadgen")
}

// Build builds a command into a folder.
func Build(ctx context.Context, dir, command string) (path string, err error) {
	path = filepath.Join(dir, filepath.Base(command))
	_, err = Output(exec.CommandContext(ctx, "go", "build", "-o", path, command))
	return path, err
}

// Output runs a command; what it says on stderr is part of the error.
func Output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
