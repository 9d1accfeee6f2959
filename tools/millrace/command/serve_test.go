// SPDX-License-Identifier: Apache-2.0

package command

import (
	"net"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/tools/millrace/module"
)

// listening is a door that tells its address.
type listening struct {
	connector.Door
	address net.Addr
}

func (l listening) Addr() net.Addr { return l.address }

// The addresses in the log are those that were bound, where a component tells.
func TestAddresses(t *testing.T) {
	tcp := listening{address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}}
	unix := listening{address: &net.UnixAddr{Name: "/run/a", Net: "unix"}}
	a := application{Application: &module.Application{Components: []*module.Component{
		{Doors: []connector.Door{tcp}, Listens: []string{"127.0.0.1:0"}},
		{Sinks: []module.Sink{{Sink: connector.SinkFunc(nil)}}, Listens: []string{"127.0.0.1:8091"}},
		{Doors: []connector.Door{listening{}}, Listens: []string{"127.0.0.1:8092"}},
		{Sinks: []module.Sink{{Sink: connector.SinkFunc(nil)}}},
		{Doors: []connector.Door{unix}, Listens: []string{"unix:/run/a"}},
	}}}
	want := []string{"127.0.0.1:80", "127.0.0.1:8091", "127.0.0.1:8092", "unix:/run/a"}
	if got := a.addresses(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
