// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Endpoint says which function types are served elsewhere, by whom, and how the engine treats them.
type Endpoint struct {
	Functions Pattern
	Invoker   Invoker
	Policy    Policy
}

// Pattern names one function type, or all those of a namespace. An exact pattern goes before one for its
// whole namespace.
type Pattern struct {
	Namespace string
	Name      string // "*" stands for every name.
}

// ParsePattern reads "<namespace>/<name>" or "<namespace>/*". Other wildcards are malformed.
func ParsePattern(s string) (Pattern, error) {
	if namespace, ok := strings.CutSuffix(s, "/*"); ok && !strings.Contains(namespace, "*") {
		if _, err := statefun.ParseFunctionType(namespace + "/any"); err != nil {
			return Pattern{}, fmt.Errorf("functions %q: %w", s, statefun.ErrMalformed)
		}
		return Pattern{Namespace: namespace, Name: "*"}, nil
	}
	t, err := statefun.ParseFunctionType(s)
	if err != nil || strings.Contains(s, "*") {
		return Pattern{}, fmt.Errorf("functions %q: %w: want <namespace>/<name> or <namespace>/*", s, statefun.ErrMalformed)
	}
	return Pattern{t.Namespace, t.Name}, nil
}

// String returns what ParsePattern reads.
func (p Pattern) String() string { return p.Namespace + "/" + p.Name }

// Exact reports whether the pattern names one function type.
func (p Pattern) Exact() bool { return p.Name != "*" }

// Matches reports whether the pattern stands for a function type.
func (p Pattern) Matches(t statefun.FunctionType) bool {
	return p.Namespace == t.Namespace && (p.Name == "*" || p.Name == t.Name)
}

// Policy is how the engine treats an endpoint. Zero values stand for the defaults.
type Policy struct {
	// MessagesMax bounds the messages of one request. Default 1000; negative is no bound.
	MessagesMax int
	// BytesMax bounds a request, and the reply that is to be expected by those before it: requests are
	// made smaller when replies grow. A single message with its state may not be larger. Default 32 MiB.
	BytesMax int
	// InFlightMax bounds the requests that are in progress at once. Default 1024.
	InFlightMax int

	// Call bounds one delivery with all its attempts; then Exhausted says what happens. Default 1 min.
	Call time.Duration
	// RetryFirst is the wait before the second attempt; it doubles up to RetryMost, less up to half by
	// chance. Defaults 50 ms and 30 s.
	RetryFirst, RetryMost time.Duration
	// Exhausted is what happens when Call is over. Default Retry.
	Exhausted Action
	// DeadLetter is the egress, "<namespace>/<name>", for Exhausted == DeadLetter.
	DeadLetter string

	// BrokenMax is how many replies to the same message may break the protocol before its address is
	// suspended: all but the last are tried again. Default 6; at least 1.
	BrokenMax int

	// IdleAfter is how long an address may go without a message before it is dropped with all its state. An
	// address at which messages wait is spared, and one of which delayed messages are pending; for these the
	// time counts from when the last of them has come due. It may be kept a 64th of IdleAfter longer. Default:
	// for ever.
	IdleAfter time.Duration
}

// Action is what happens to a message that could not be delivered in time.
type Action uint8

// The actions.
const (
	Retry      Action = iota // Begin another delivery.
	Suspend                  // Suspend the address, with its messages, until somebody resumes it.
	DeadLetter               // Emit the message to Policy.DeadLetter and go on with the next.
)

// WithDefaults returns p with defaults in place of zero values.
func (p Policy) WithDefaults() Policy {
	orElse(&p.MessagesMax, 1000)
	orElse(&p.BytesMax, 32<<20)
	orElse(&p.InFlightMax, 1024)
	orElse(&p.Call, time.Minute)
	orElse(&p.RetryFirst, 50*time.Millisecond)
	orElse(&p.RetryMost, 30*time.Second)
	orElse(&p.BrokenMax, 6)
	return p
}

// Validate reports everything that is wrong with p, after defaults, as one joined error.
func (p Policy) Validate() error {
	p = p.WithDefaults()
	var errs []error
	want := func(ok bool, field string, value any, accepted string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v: want %s", field, value, accepted))
		}
	}
	want(p.BytesMax >= 1 && p.BytesMax <= 1<<30, "BytesMax", p.BytesMax, "1 to 1073741824")
	want(p.InFlightMax >= 1 && p.InFlightMax <= InFlightMost, "InFlightMax", p.InFlightMax, fmt.Sprint("1 to ", InFlightMost))
	want(p.Call >= time.Millisecond, "Call", p.Call, "at least 1ms")
	want(p.RetryFirst >= time.Millisecond, "RetryFirst", p.RetryFirst, "at least 1ms")
	want(p.RetryMost >= p.RetryFirst, "RetryMost", p.RetryMost, "at least RetryFirst")
	want(p.BrokenMax >= 1, "BrokenMax", p.BrokenMax, "at least 1")
	want(p.Exhausted <= DeadLetter, "Exhausted", p.Exhausted, "Retry, Suspend or DeadLetter")
	want(p.IdleAfter == 0 || p.IdleAfter >= time.Millisecond, "IdleAfter", p.IdleAfter, "0 or at least 1ms")
	want((p.Exhausted == DeadLetter) == (p.DeadLetter != ""), "DeadLetter", p.DeadLetter, "an egress, with Exhausted == DeadLetter only")
	return errors.Join(errs...)
}

// InFlightMost is the most requests that an endpoint may have in progress.
const InFlightMost = 1 << 16

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
