// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/millrace-io/millrace/engine"
)

// Post sorts letters of which it knows only the typename.
type Post interface {
	Sort(*engine.Context, engine.TypedValue) error
	Sorted(*engine.Context, string) (int64, error)
}

// The post office, what it is asked, and its letter box.
var (
	postFunction = engine.Define[Post]("example/post")
	Sorted       = engine.Answer(postFunction, engine.String, engine.Int64, Post.Sorted)
	Letters      = engine.NewIngress("example/letters", engine.String)
)

func init() { engine.AcceptAny(postFunction, Post.Sort) }

type post struct {
	letters engine.Value[map[string]int64]
}

func (p *post) Sort(ctx *engine.Context, letter engine.TypedValue) error {
	letters := p.letters.Edit(ctx)
	if *letters == nil {
		*letters = map[string]int64{}
	}
	(*letters)[letter.Typename]++
	return nil
}

func (p *post) Sorted(ctx *engine.Context, typename string) (int64, error) {
	return p.letters.Get(ctx)[typename], nil
}

// mailbag is a sender of letters of any kind.
type mailbag interface {
	Empty(*engine.Context, string) error
}

type bag struct{}

var (
	bagFunction = engine.Define[mailbag]("example/bag")
	Empty       = engine.Accept(bagFunction, engine.String, mailbag.Empty)
)

func (bag) Empty(ctx *engine.Context, kind string) error {
	to := engine.Address{Type: postFunction.Type(), ID: "main street"}
	ctx.Send(to, engine.TypedValue{Typename: "example/" + kind, Value: []byte("Dear …")})
	return nil
}

// What has no input of its own arrives where AcceptAny says, as it is on the wire. A router may forward
// an event to any number of instances.
func ExampleAcceptAny() {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{}, engine.Module{Name: "town", Bind: func(b *engine.Binder) error {
		engine.Bind(b, postFunction, func(s *engine.Schema) Post {
			return &post{engine.NewValue(s, "letters", engine.JSON[map[string]int64]("example/counts"))}
		})
		engine.Bind(b, bagFunction, func(*engine.Schema) mailbag { return bag{} })
		engine.RouteFunc(b, Letters, func(d *engine.Downstream, kind string) error {
			for _, id := range []string{"bag 1", "bag 2"} {
				if err := engine.Forward(d, Empty.To(id), kind); err != nil {
					return err
				}
			}
			return nil
		})
		engine.Connect(b, Letters, ended("postcard", "parcel", "postcard"))
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Run(ctx))
	for _, kind := range []string{"postcard", "parcel", "telegram"} {
		n, err := Sorted.Ask(ctx, e, "main street", "example/"+kind)
		fmt.Println(kind, n, err)
	}
	fmt.Println(e.Close(ctx))
	// Output:
	// <nil>
	// postcard 4 <nil>
	// parcel 2 <nil>
	// telegram 0 <nil>
	// <nil>
}
