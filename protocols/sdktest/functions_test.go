// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/apache/flink-statefun/statefun-sdk-go/v3/pkg/statefun"

	"github.com/millrace-io/millrace/engine"
)

// The functions of the server, written with the Go SDK.
var (
	counterType = statefun.TypeNameFrom("test/counter")
	courierType = statefun.TypeNameFrom("test/courier")

	readType   = jsonType("test/read")
	totalType  = jsonType("test/total")
	errandType = jsonType("test/errand")

	countSpec    = statefun.ValueSpec{Name: "count", ValueType: statefun.Int32Type}
	sumSpec      = statefun.ValueSpec{Name: "sum", ValueType: statefun.Int64Type}
	disorderSpec = statefun.ValueSpec{Name: "disorder", ValueType: statefun.StringType}
)

func jsonType(name string) statefun.SimpleType {
	return statefun.MakeJsonType(statefun.TypeNameFrom(name))
}

// total is what a counter answers to test/read.
type total struct {
	Count    int32            // Messages that took effect.
	Sum      int64            // Of their numbers.
	Disorder string           // The first message that did not follow the one before, if there was any.
	Versions map[string]int32 // Messages by the version of the counter that has run them.
}

// The versions of the counter. Each has a state of its own beside those that all have.
const (
	plain     = ""
	one       = "one"
	two       = "two"
	alternate = "alternate" // The versions one and two behind one endpoint, in turn.
)

// functions returns the SDK's handler for one version of the functions.
func functions(version string) (http.Handler, error) {
	if version == alternate {
		first, err1 := functions(one)
		second, err2 := functions(two)
		var turn atomic.Uint64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if turn.Add(1)%2 == 0 {
				first.ServeHTTP(w, r)
			} else {
				second.ServeHTTP(w, r)
			}
		}), errors.Join(err1, err2)
	}
	counter := counter{}
	states := []statefun.ValueSpec{countSpec, sumSpec, disorderSpec}
	if version != plain {
		counter.own = statefun.ValueSpec{Name: version, ValueType: statefun.Int32Type}
		states = append(states, counter.own)
	}
	builder := statefun.StatefulFunctionsBuilder()
	err := errors.Join(
		builder.WithSpec(statefun.StatefulFunctionSpec{FunctionType: counterType, States: states, Function: counter}),
		builder.WithSpec(statefun.StatefulFunctionSpec{FunctionType: courierType, Function: statefun.StatefulFunctionPointer(carry)}),
	)
	return builder.AsHandler(), err
}

// counter adds numbers up. Those of one sender count from 1 without a gap, so that a message that was lost,
// done twice, or overtaken shows at once and not only in the end.
type counter struct{ own statefun.ValueSpec }

// Invoke implements statefun.StatefulFunction.
func (c counter) Invoke(ctx statefun.Context, message statefun.Message) error {
	var t total
	storage := ctx.Storage()
	storage.Get(countSpec, &t.Count)
	storage.Get(sumSpec, &t.Sum)
	storage.Get(disorderSpec, &t.Disorder)
	var own int32
	if c.own.Name != "" {
		storage.Get(c.own, &own)
	}
	switch {
	case message.IsInt64(), message.IsInt32():
		var n int64
		if message.IsInt64() {
			n = message.AsInt64()
		} else {
			n = int64(message.AsInt32())
		}
		t.Count++
		t.Sum += n
		if n != int64(t.Count) && t.Disorder == "" {
			storage.Set(disorderSpec, fmt.Sprintf("message %d has number %d", t.Count, n))
		}
		storage.Set(countSpec, t.Count)
		storage.Set(sumSpec, t.Sum)
		if c.own.Name != "" {
			storage.Set(c.own, own+1)
		}
	case message.Is(readType):
		if c.own.Name != "" {
			t.Versions = map[string]int32{c.own.Name: own}
		}
		answer(ctx, t)
	default:
		return fmt.Errorf("a counter takes no %v", message.ValueTypeName())
	}
	return nil
}

// answer sends a total to the caller, or out when there is none.
func answer(ctx statefun.Context, t total) {
	if caller := ctx.Caller(); caller != nil {
		ctx.Send(statefun.MessageBuilder{Target: *caller, Value: t, ValueType: totalType})
		return
	}
	ctx.SendEgress(statefun.GenericEgressBuilder{Target: statefun.TypeNameFrom(out), Value: t, ValueType: totalType})
}

// errand is one thing that a courier does.
type errand struct {
	Do    string // send, cancel, emit, kafka or fail.
	ID    string // Of the counter to send to.
	Value int64
	After time.Duration // 0 for at once.
	Token string
}

// carry runs errands, in order: it uses what the SDK's context can do.
func carry(ctx statefun.Context, message statefun.Message) error {
	var errands []errand
	if err := message.As(errandType, &errands); err != nil {
		return fmt.Errorf("errands: %w", err)
	}
	for _, e := range errands {
		parcel := statefun.MessageBuilder{Target: statefun.Address{FunctionType: counterType, Id: e.ID}, Value: e.Value}
		switch {
		case e.Do == "send" && e.After == 0:
			ctx.Send(parcel)
		case e.Do == "send" && e.Token == "":
			ctx.SendAfter(e.After, parcel)
		case e.Do == "send":
			ctx.SendAfterWithCancellationToken(e.After, token(e.Token), parcel)
		case e.Do == "cancel":
			ctx.CancelDelayedMessage(token(e.Token))
		case e.Do == "emit":
			ctx.SendEgress(statefun.GenericEgressBuilder{Target: statefun.TypeNameFrom(out), Value: e.Value, ValueType: statefun.Int64Type})
		case e.Do == "kafka":
			ctx.SendEgress(statefun.KafkaEgressBuilder{Target: statefun.TypeNameFrom(out), Topic: "parcels", Key: e.ID, Value: "parcel"})
		default:
			return fmt.Errorf("%q is no errand", e.Do)
		}
	}
	return nil
}

func token(s string) statefun.CancellationToken {
	t, err := statefun.NewCancellationToken(s)
	if err != nil {
		panic(err) // The SDK answers with 500.
	}
	return t
}

// out is the egress of the tests.
const out = "test/out"

// errands is a message for a courier.
func errands(list ...errand) engine.TypedValue {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return engine.TypedValue{Typename: "test/errand", Value: b}
}
