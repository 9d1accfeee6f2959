// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pointer is a JSON pointer (RFC 6901), taken apart. Nil points nowhere.
type pointer []string

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// parsePointer reads a pointer; the empty one, which would be the whole line, points nowhere.
func parsePointer(s string) (pointer, error) {
	if s == "" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return nil, errors.New("a JSON pointer begins with a slash")
	}
	p := strings.Split(rest, "/")
	for i, token := range p {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
			return nil, errors.New("in a JSON pointer ~ is written ~0")
		}
		p[i] = unescape.Replace(token)
	}
	return p, nil
}

// String returns the pointer as it is written.
func (p pointer) String() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}

// space is what JSON takes for white space: less than Unicode does.
const space = " \t\r\n"

// find returns what is pointed to as the bytes of a key.
func (p pointer) find(line []byte) ([]byte, error) {
	at := json.RawMessage(line)
	for _, token := range p {
		next, err := step(at, token)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", p, err)
		}
		at = next
	}
	key, err := keyOf(bytes.Trim(at, space))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", p, err)
	}
	return key, nil
}

// step goes one token down.
func step(at json.RawMessage, token string) (json.RawMessage, error) {
	if at = bytes.Trim(at, space); len(at) > 0 && at[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(at, &list); err != nil {
			return nil, fmt.Errorf("the line is no JSON: %w", err)
		}
		i, err := strconv.ParseUint(token, 10, 31)
		if err != nil || i >= uint64(len(list)) || strconv.FormatUint(i, 10) != token {
			return nil, errors.New("missing")
		}
		return list[i], nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(at, &object); err != nil {
		return nil, fmt.Errorf("the line is no JSON object that has it: %w", err)
	}
	next, ok := object[token]
	if !ok {
		return nil, errors.New("missing")
	}
	return next, nil
}

// keyOf is a text without its quotes, and a number or truth value as it is written.
func keyOf(v []byte) ([]byte, error) {
	switch v[0] {
	case '"':
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return nil, err
		}
		if text == "" {
			return nil, errors.New("empty")
		}
		return []byte(text), nil
	case '{', '[', 'n':
		return nil, errors.New("want a text, a number or a truth value")
	}
	return v, nil
}
