// SPDX-License-Identifier: Apache-2.0

package shard

import "github.com/millrace-io/millrace/engine/internal/planted"

// Token names a delayed message that can be cancelled. Tokens are never reused.
type Token uint64

// tokenShardBits is how many bits of a token name the shard that made it.
const tokenShardBits = 10

// token returns a token that no shard of this application has ever made (P11).
func (s *Shard) token() Token {
	if planted.TokensCollide {
		return Token(s.number() << tokenShardBits)
	}
	return Token(s.number()<<tokenShardBits | uint64(s.id))
}

// tokenName is the name that a function which runs elsewhere has given to a delayed message. It belongs to
// the sender's id, whatever its type, as in StateFun; all of one id live on one shard.
type tokenName struct{ sender, name string }

// namesKept bounds the names whose memory is used again.
const namesKept = 4096

func (inv *Invocation) tokenName(name string) tokenName {
	return tokenName{alias(inv.fn.table.ID(inv.Row)), name}
}

// isLive reports whether a delayed message of that name is pending, as the running invocation would leave
// it.
func (inv *Invocation) isLive(name string) bool {
	if i, ok := inv.names[name]; ok {
		t := &inv.staged[i]
		return t.message >= 0 && !t.undone
	}
	_, ok := inv.shard.byName[inv.tokenName(name)]
	return ok
}

// nameStaged names the delayed message that has been staged last.
func (inv *Invocation) nameStaged(name string) {
	i := len(inv.staged) - 1
	inv.staged[i].name = string([]byte(name)) // It was borrowed.
	inv.setName(inv.staged[i].name, i)
}

func (inv *Invocation) setName(name string, i int) {
	if inv.names == nil {
		inv.names = make(map[string]int)
	}
	inv.names[name] = i
}

// cancelNamed takes back a delayed message by its name. A name that is unknown, or whose message has come
// due, is no error.
func (inv *Invocation) cancelNamed(name string) {
	if i, ok := inv.names[name]; ok {
		if t := &inv.staged[i]; t.message >= 0 {
			t.undone = true
		}
		return
	}
	if token, ok := inv.shard.byName[inv.tokenName(name)]; ok {
		inv.staged = append(inv.staged, staged{token: token, message: -1})
		inv.setName(string([]byte(name)), len(inv.staged)-1)
	}
}

// keepName remembers the name of a delayed message that takes effect.
func (s *Shard) keepName(t *staged) {
	key := tokenName{string(s.inv.fn.table.ID(s.inv.Row)), t.name}
	s.byName[key] = t.token
	s.names[t.token] = key
}

// dropName forgets the name of a delayed message that has come due or has been cancelled.
func (s *Shard) dropName(token Token) {
	if key, ok := s.names[token]; ok {
		delete(s.names, token)
		delete(s.byName, key)
	}
}
