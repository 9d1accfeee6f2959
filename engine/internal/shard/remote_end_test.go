// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// on returns the request that is on its way for an id.
func (r *remoteRig) on(id string) *Call {
	r.t.Helper()
	for _, c := range r.under {
		if string(c.ID) == id {
			return c
		}
	}
	r.t.Fatalf("no request is on its way for %s, but %q", id, r.requests())
	return nil
}

// reply answers the request for an id. The words are effects:
//
//	=NAME:VALUE         sets the state value NAME, a test/NAME
//	~NAME               removes it
//	>NS/TYPE/ID:WORD    sends a message
//	@MS,TOKEN,ID:WORD   sends WORD to a probe after MS milliseconds
//	xTOKEN              cancels
//	!NAME:WORD          emits to the egress test/NAME
//	?NAME, ?NAME,wMS, ?NAME,iMS   asks for state, which may expire after a write, or after an invocation
func (r *remoteRig) reply(id string, words ...string) {
	r.t.Helper()
	c := r.on(id)
	for _, word := range words {
		r.effect(&c.Reply, word)
	}
	r.end(c, nil)
}

func (r *remoteRig) effect(reply *remote.Reply, word string) {
	name, value, _ := strings.Cut(word[1:], ":")
	payload := remote.Payload{Typename: []byte("test/word"), Value: []byte(value)}
	switch word[0] {
	case '=':
		payload.Typename = []byte("test/" + name)
		reply.Mutations = append(reply.Mutations, remote.Mutation{Name: []byte(name), Payload: payload})
	case '~':
		reply.Mutations = append(reply.Mutations, remote.Mutation{Delete: true, Name: []byte(name)})
	case '>':
		to := strings.SplitN(name, "/", 3)
		reply.Messages = append(reply.Messages, remote.Outgoing{
			To: remote.To{Namespace: []byte(to[0]), Name: []byte(to[1]), ID: []byte(to[2])}, Payload: payload,
		})
	case '@':
		parts := strings.SplitN(name, ",", 3)
		ms, _ := strconv.ParseInt(parts[0], 10, 64)
		reply.Delayed = append(reply.Delayed, remote.Delayed{Delay: ms, Token: []byte(parts[1]), Outgoing: remote.Outgoing{
			To: remote.To{Namespace: []byte("test"), Name: []byte("probe"), ID: []byte(parts[2])}, Payload: payload,
		}})
	case 'x':
		reply.Delayed = append(reply.Delayed, remote.Delayed{Cancel: true, Token: []byte(name)})
	case '!':
		reply.Egress = append(reply.Egress, remote.Emitted{Namespace: []byte("test"), Name: []byte(name), Payload: payload})
	case '?':
		reply.Incomplete = true
		reply.Missing = append(reply.Missing, specOf(name))
	default:
		r.t.Fatalf("the other end does not know %q", word)
	}
}

// specOf reads "NAME", "NAME,wMS" or "NAME,iMS".
func specOf(s string) remote.Spec {
	name, expiry, _ := strings.Cut(s, ",")
	spec := remote.Spec{Name: name, Typename: "test/" + name}
	if expiry != "" {
		spec.Expiry = map[byte]remote.Expiry{'w': remote.AfterWrite, 'i': remote.AfterInvoke}[expiry[0]]
		spec.TTL, _ = strconv.ParseInt(expiry[1:], 10, 64)
	}
	return spec
}

// fail ends the request for an id with an error.
func (r *remoteRig) fail(id string, reason remote.Reason) {
	r.t.Helper()
	r.end(r.on(id), &remote.Error{Reason: reason})
}

func (r *remoteRig) failUntil(id string, after time.Duration) {
	r.t.Helper()
	r.end(r.on(id), &remote.Error{Reason: remote.Refused, RetryAfter: after})
}

// end takes a request back, as the engine does.
func (r *remoteRig) end(c *Call, err error) {
	r.under = slices.DeleteFunc(r.under, func(other *Call) bool { return other == c })
	if c.Err = err; err == nil && c.Reply.Incomplete {
		c.Known = r.learn(c)
	}
	r.s.Complete(r.now, c)
	r.collect()
}

// learn numbers what a reply asks for: the same for all shards, and for good.
func (r *remoteRig) learn(c *Call) *Specs {
	known := r.known[c.Target]
	if known == nil {
		known = noSpecs
	}
	list := slices.Clone(known.List)
	for _, spec := range c.Reply.Missing {
		if _, ok := known.Number(spec.Name); !ok {
			list = append(list, Spec{spec, true})
		}
	}
	known = NewSpecs(list)
	r.known[c.Target] = known
	return known
}

// declare has the cart ask for state values, by way of a message for an id.
func (r *remoteRig) declare(specs ...string) {
	r.t.Helper()
	r.post(fnCart, "declare x")
	for i := range specs {
		specs[i] = "?" + specs[i]
	}
	r.reply("declare", specs...)
	r.reply("declare")
}
