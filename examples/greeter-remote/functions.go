// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/apache/flink-statefun/statefun-sdk-go/v3/pkg/statefun"
)

// What comes in, what one function tells the other, and what leaves.
type (
	greetRequest struct {
		Name string `json:"name"`
	}
	visit struct {
		Name   string `json:"name"`
		Number int32  `json:"number"`
	}
	egressRecord struct {
		Topic   string `json:"topic"`
		Payload string `json:"payload"`
	}
)

var (
	person  = statefun.TypeNameFrom("example/person")
	greeter = statefun.TypeNameFrom("example/greeter")
	egress  = statefun.TypeNameFrom("io.statefun.playground/egress")

	greetRequestType = jsonType("example/GreetRequest")
	visitType        = jsonType("example/Visit")
	egressRecordType = jsonType("io.statefun.playground/EgressRecord")

	visits = statefun.ValueSpec{Name: "visits", ValueType: statefun.Int32Type}
)

func jsonType(name string) statefun.SimpleType {
	return statefun.MakeJsonType(statefun.TypeNameFrom(name))
}

// functions returns the handler that serves both functions.
func functions() (statefun.RequestReplyHandler, error) {
	builder := statefun.StatefulFunctionsBuilder()
	err := errors.Join(
		builder.WithSpec(statefun.StatefulFunctionSpec{
			FunctionType: person,
			States:       []statefun.ValueSpec{visits},
			Function:     statefun.StatefulFunctionPointer(count),
		}),
		builder.WithSpec(statefun.StatefulFunctionSpec{
			FunctionType: greeter,
			Function:     statefun.StatefulFunctionPointer(greet),
		}),
	)
	return builder.AsHandler(), err
}

// count counts the visits of one person and has each of them greeted, in order: person and greeter have
// the same id, and messages between two addresses keep theirs.
func count(ctx statefun.Context, message statefun.Message) error {
	var request greetRequest
	if err := message.As(greetRequestType, &request); err != nil {
		return fmt.Errorf("greet request: %w", err)
	}
	var n int32
	ctx.Storage().Get(visits, &n)
	n++
	ctx.Storage().Set(visits, n)

	ctx.Send(statefun.MessageBuilder{
		Target:    statefun.Address{FunctionType: greeter, Id: ctx.Self().Id},
		Value:     visit{request.Name, n},
		ValueType: visitType,
	})
	return nil
}

// greet words a greeting and emits it.
func greet(ctx statefun.Context, message statefun.Message) error {
	var v visit
	if err := message.As(visitType, &v); err != nil {
		return fmt.Errorf("visit: %w", err)
	}
	ctx.SendEgress(statefun.GenericEgressBuilder{
		Target:    egress,
		Value:     egressRecord{"greetings", words(v)},
		ValueType: egressRecordType,
	})
	return nil
}

// words differ with the number of the visit, so that a missing or a second greeting shows.
func words(v visit) string {
	switch v.Number {
	case 1:
		return fmt.Sprintf("Welcome, %s! Please come in.", v.Name)
	case 2:
		return fmt.Sprintf("%s, you are back. How nice.", v.Name)
	case 3:
		return fmt.Sprintf("Third time, %s: your chair is by the window.", v.Name)
	}
	return fmt.Sprintf("The usual, %s? This is visit %d.", v.Name, v.Number)
}
