// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// program is one of those that are compared, each a command of its own.
type program struct {
	name    string
	command string // Its import path.
	// module is where a framework comes from, whose version goes into the results. Empty for the two others.
	module string
}

const (
	millrace = "Millrace"
	plainGo  = "plain Go"
	ours     = "github.com/millrace-io/millrace/"
)

var programs = []program{
	{millrace, ours + "loadgen/cmd/loadgen", ""},
	{plainGo, ours + "benchmarks/plaingo", ""},
	{"protoactor-go", ours + "benchmarks/protoactor", "github.com/asynkron/protoactor-go"},
	{"hollywood", ours + "benchmarks/hollywood", "github.com/anthdm/hollywood"},
	{"ergo", ours + "benchmarks/ergo", "ergo.services/ergo"},
	{"goakt", ours + "benchmarks/goakt", "github.com/tochemey/goakt/v3"},
}

// framework is true of the actor frameworks.
func (p program) framework() bool { return p.module != "" }

// build builds the commands into a folder and returns them by program, and the versions of the frameworks.
func build(ctx context.Context, dir string) (commands, versions map[string]string, err error) {
	commands, versions = map[string]string{}, map[string]string{}
	for _, p := range programs {
		if commands[p.name], err = rounds.Build(ctx, dir, p.command); err != nil {
			return nil, nil, err
		}
		if !p.framework() {
			continue
		}
		info, err := buildinfo.ReadFile(commands[p.name])
		if err != nil {
			return nil, nil, err
		}
		for _, dep := range info.Deps {
			if dep.Path == p.module {
				versions[p.name] = dep.Version
				if dep.Replace != nil {
					versions[p.name] = dep.Replace.Version
				}
			}
		}
	}
	return commands, versions, nil
}

// hang is when a process is given up: a framework that loses a message never ends.
const hang = 10 * time.Minute

// args is the command line of a measurement, below the name of the command.
func (p program) args(c cell, seed uint64) []string {
	messages := c.messages
	if p.framework() {
		messages = c.slow
	}
	if p.name != millrace {
		return workload.Args(c.workload, keys.Load{Keys: c.keys, Messages: messages, Dist: cmp.Or(c.dist, keys.Uniform), Seed: seed})
	}
	args := []string{"engine", "--json", "--workload", c.workload, "--keys", strconv.Itoa(c.keys), "--seed", strconv.FormatUint(seed, 10)}
	if messages > 0 {
		args = append(args, "--messages", strconv.Itoa(messages))
	}
	if c.dist != "" {
		args = append(args, "--dist", string(c.dist))
	}
	if c.across {
		args = append(args, "--across")
	}
	return args
}

// measure runs a program's command in a process of its own.
func (p program) measure(ctx context.Context, command string, c cell, seed uint64) (m measurement) {
	args := p.args(c, seed)
	m = measurement{Round: int(seed), Cell: c.name, Program: p.name, Command: append([]string{filepath.Base(command)}, args...)}
	ctx, cancel := context.WithTimeout(ctx, hang)
	defer cancel()
	out, err := rounds.Output(exec.CommandContext(ctx, command, args...))
	if err == nil && p.name == millrace {
		m.Value, err = parseReport(out, c)
	} else if err == nil {
		m.Value, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	}
	if err != nil {
		m.Error = err.Error()
	}
	return m
}

// parseReport reads what loadgen --json has written, of which the last line is the report: what the other
// programs call their value.
func parseReport(out []byte, c cell) (value float64, err error) {
	out = bytes.TrimSpace(out)
	var report struct {
		Seconds          float64 `json:"seconds"`
		PerSecond        float64 `json:"invocations_per_s"`
		BytesPerInstance float64 `json:"bytes_per_instance"`
		Verified         bool    `json:"verified"`
	}
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &report); err != nil {
		return 0, fmt.Errorf("report of loadgen: %w", err)
	}
	switch c.workload {
	case workload.Memory:
		value = report.BytesPerInstance
	case workload.Skynet:
		nodes, _ := workload.Nodes(c.keys)
		value = float64(nodes) / report.Seconds
	default:
		value = report.PerSecond
	}
	if !report.Verified || !(value > 0) {
		return 0, errors.New("report of loadgen: not verified")
	}
	return value, nil
}
