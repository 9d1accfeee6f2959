// SPDX-License-Identifier: Apache-2.0

package module

import (
	"github.com/millrace-io/millrace/engine/remote"
)

// Wiring says what an application is made of, for people and programs to read. Its JSON is an interface:
// fields are added, not changed.
type Wiring struct {
	Endpoints []Endpoint `json:"endpoints"`
	Ingresses []Ingress  `json:"ingresses"`
	Egresses  []Egress   `json:"egresses"`
}

// Endpoint is what serves functions elsewhere. Its policy is with defaults.
type Endpoint struct {
	Functions    string `json:"functions"`
	Kind         string `json:"kind"`
	At           string `json:"at"` // "file:line:column"
	MessagesMax  int    `json:"messages_max"`
	BytesMax     int    `json:"bytes_max"`
	InFlightMax  int    `json:"in_flight_max"`
	CallMS       int64  `json:"call_ms"`
	RetryFirstMS int64  `json:"retry_first_ms"`
	RetryMostMS  int64  `json:"retry_most_ms"`
	Exhausted    string `json:"exhausted"` // retry, suspend or deadLetter
	DeadLetter   string `json:"dead_letter,omitempty"`
	BrokenMax    int    `json:"broken_max"`
	IdleAfterMS  int64  `json:"idle_after_ms,omitempty"`
}

// Ingress is what brings events in.
type Ingress struct {
	ID      string   `json:"id,omitempty"`
	Kind    string   `json:"kind"`
	At      string   `json:"at"`
	Listens []string `json:"listens,omitempty"`
	Targets []string `json:"targets,omitempty"` // Function types that get each event, where the ingress names them.
}

// Egress is what takes records out.
type Egress struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	At      string   `json:"at"`
	Listens []string `json:"listens,omitempty"`
}

// Wiring returns what the application is made of.
func (a *Application) Wiring() Wiring {
	w := Wiring{Endpoints: []Endpoint{}, Ingresses: []Ingress{}, Egresses: []Egress{}}
	for _, c := range a.Components {
		at := c.At.String()
		for _, e := range c.Endpoints {
			w.Endpoints = append(w.Endpoints, endpoint(c.Kind, at, e))
		}
		if c.Ingress {
			in := Ingress{ID: c.ID, Kind: c.Kind, At: at, Listens: c.Listens}
			for _, s := range c.Sources {
				for _, t := range s.Targets {
					in.Targets = append(in.Targets, t.String())
				}
			}
			w.Ingresses = append(w.Ingresses, in)
		}
		for _, s := range c.Sinks {
			w.Egresses = append(w.Egresses, Egress{s.Egress, c.Kind, at, c.Listens})
		}
	}
	return w
}

func endpoint(kind, at string, e remote.Endpoint) Endpoint {
	p := e.Policy.WithDefaults()
	return Endpoint{
		Functions: e.Functions.String(), Kind: kind, At: at,
		MessagesMax: p.MessagesMax, BytesMax: p.BytesMax, InFlightMax: p.InFlightMax,
		CallMS: p.Call.Milliseconds(), RetryFirstMS: p.RetryFirst.Milliseconds(), RetryMostMS: p.RetryMost.Milliseconds(),
		Exhausted: actions[p.Exhausted], DeadLetter: p.DeadLetter, BrokenMax: p.BrokenMax, IdleAfterMS: p.IdleAfter.Milliseconds(),
	}
}

var actions = map[remote.Action]string{
	remote.Retry: "retry", remote.Suspend: "suspend", remote.DeadLetter: "deadLetter",
}
