// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/millrace-io/millrace/benchmarks/workload/workloadtest"
)

func TestWorkloads(t *testing.T) { workloadtest.Run(t, open, 100) }
