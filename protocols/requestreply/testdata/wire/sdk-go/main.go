// SPDX-License-Identifier: Apache-2.0

// Command sdk-go answers the requests beside it with StateFun's SDK for Go.
package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/flink-statefun/statefun-sdk-go/v3/pkg/statefun"
)

var (
	count = statefun.ValueSpec{Name: "count", ValueType: statefun.Int32Type}
	flag  = statefun.ValueSpec{Name: "flag", ValueType: statefun.BoolType, Expiration: statefun.ExpireAfterWrite(time.Hour)}
	note  = statefun.ValueSpec{Name: "note", ValueType: statefun.StringType, Expiration: statefun.ExpireAfterCall(time.Minute)}

	sink = statefun.Address{FunctionType: statefun.TypeNameFrom("example/log"), Id: "all"}
)

func main() {
	functions := statefun.StatefulFunctionsBuilder()
	check(functions.WithSpec(statefun.StatefulFunctionSpec{
		FunctionType: statefun.TypeNameFrom("example/golden"),
		States:       []statefun.ValueSpec{count, flag, note},
		Function:     statefun.StatefulFunctionPointer(golden),
	}))
	handler := functions.AsHandler()
	requests, err := filepath.Glob("../*.request.hex")
	check(err)
	for _, file := range requests {
		text, err := os.ReadFile(file)
		check(err)
		request, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		check(err)
		reply, err := handler.Invoke(context.Background(), request)
		check(err)
		var out strings.Builder
		for len(reply) > 0 {
			n := min(32, len(reply))
			out.WriteString(hex.EncodeToString(reply[:n]) + "\n")
			reply = reply[n:]
		}
		check(os.WriteFile(strings.TrimSuffix(file, ".request.hex")+".go.reply.hex", []byte(out.String()), 0o644))
	}
}

func golden(ctx statefun.Context, message statefun.Message) error {
	say := func(format string, args ...any) statefun.MessageBuilder {
		return statefun.MessageBuilder{Target: sink, Value: fmt.Sprintf(format, args...)}
	}
	token, err := statefun.NewCancellationToken("token-1")
	if err != nil {
		return err
	}
	command := ""
	if message.IsString() {
		command = message.AsString()
	}
	storage := ctx.Storage()
	switch command {
	case "show":
		var c int32
		var f bool
		var n string
		state := "count=none"
		if storage.Get(count, &c) {
			state = fmt.Sprintf("count=%d", c)
		}
		if storage.Get(flag, &f) {
			state += fmt.Sprintf(" flag=%v", f)
		} else {
			state += " flag=none"
		}
		if storage.Get(note, &n) {
			state += fmt.Sprintf(" note=%q", n)
		} else {
			state += " note=none"
		}
		ctx.Send(say("%s", state))
	case "count":
		var c int32
		storage.Get(count, &c)
		storage.Set(count, c+1)
		storage.Set(flag, true)
	case "zero":
		storage.Set(count, int32(0))
		storage.Set(flag, false)
		storage.Set(note, "")
		ctx.Send(statefun.MessageBuilder{Target: sink, Value: int32(0)})
		ctx.Send(say(""))
	case "clear":
		storage.Remove(count)
		storage.Remove(flag)
		storage.Remove(note)
	case "who":
		caller := "an ingress"
		if c := ctx.Caller(); c != nil {
			caller = name(*c)
		}
		ctx.Send(say("%s calls %s", caller, name(ctx.Self())))
	case "send":
		ctx.Send(say("hello"))
	case "later":
		ctx.SendAfter(1500*time.Millisecond, say("late"))
		ctx.SendAfterWithCancellationToken(time.Minute, token, say("later"))
	case "cancel":
		ctx.CancelDelayedMessage(token)
	case "egress":
		ctx.SendEgress(statefun.KafkaEgressBuilder{
			Target: statefun.TypeNameFrom("example/kafka"), Topic: "topic", Key: "key", Value: "value",
		})
		ctx.SendEgress(statefun.KinesisEgressBuilder{
			Target: statefun.TypeNameFrom("example/kinesis"), Stream: "stream", PartitionKey: "key", Value: "value",
		})
	case "past":
		ctx.SendAfter(-5*time.Millisecond, say("too late"))
	case "nothing":
	default:
		ctx.Send(say("%s %x", message.ValueTypeName(), message.RawValue()))
	}
	return nil
}

func name(a statefun.Address) string { return a.FunctionType.String() + "/" + a.Id }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
