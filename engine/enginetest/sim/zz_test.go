package sim_test

import (
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

func TestZZ(t *testing.T) {
	for n := uint64(1); n < 25; n++ {
		c := sim.Seed(n, messages)
		r, err := c.Run(sim.Options{Backend: func(o backend.Options) (backend.Backend, error) { return backendtest.NewModel(o) }})
		t.Logf("%v %v %+v", r, err, c.Config)
	}
}
