// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/connector"
)

const recordType = "io.statefun.playground/EgressRecord"

var errNotRecord = errors.New(`the value is not JSON like {"topic": "…", "payload": "…"}`)

// parseRecord reads what a record of the egress holds. It takes what StateFun takes: numbers and truth
// values stand for their text, other fields are refused, and what follows the JSON is not looked at.
// Errors do not show the payload.
func parseRecord(r connector.Record) (topic, payload string, err error) {
	if r.Typename != recordType {
		return "", "", fmt.Errorf("the record is of type %s, want %s", clip(r.Typename), recordType)
	}
	var fields map[string]json.RawMessage // Not a struct: it would take "Topic" for "topic".
	if !utf8.Valid(r.Value) || json.NewDecoder(bytes.NewReader(r.Value)).Decode(&fields) != nil {
		return "", "", errNotRecord
	}
	for name := range fields {
		if name != "topic" && name != "payload" {
			return "", "", fmt.Errorf("%w: it has a field %s", errNotRecord, clip(name))
		}
	}
	topic, err = text(fields, "topic")
	if err == nil {
		payload, err = text(fields, "payload")
	}
	if err != nil {
		return "", "", err
	}
	return topic, payload, nil
}

func text(fields map[string]json.RawMessage, name string) (s string, err error) {
	raw := fields[name]
	switch {
	case len(raw) == 0, string(raw) == "null":
		return "", fmt.Errorf("%w: it has no %s", errNotRecord, name)
	case raw[0] == '{', raw[0] == '[':
		return "", fmt.Errorf("%w: its %s is no text", errNotRecord, name)
	case raw[0] == '"':
		err = json.Unmarshal(raw, &s)
		return s, err
	}
	return string(raw), nil
}

// clip quotes what functions have made up.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
