// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/loadgen"
)

// profileFlags adds the flags for profiles of a part of the run.
func profileFlags(set *pflag.FlagSet, p *loadgen.Profiles, part string) {
	set.StringVar(&p.CPU, "cpuprofile", "", "write a CPU profile of "+part+" to a file")
	set.StringVar(&p.Memory, "memprofile", "", "write a memory profile as of the end of "+part+" to a file")
	set.StringVar(&p.Trace, "trace", "", "write an execution trace of "+part+" to a file")
}
