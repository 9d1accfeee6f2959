// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/connector"
)

// What StateFun takes for an egress record is taken for one, and nothing else.
func TestParseRecord(t *testing.T) {
	tests := []struct {
		in             string
		topic, payload string
		refused        string // A part of the error.
	}{
		{in: `{"topic":"t","payload":"p"}`, topic: "t", payload: "p"},
		{in: " { \"payload\" : \"p\" ,\n\"topic\":\t\"t\" } ", topic: "t", payload: "p"},
		{in: `{"topic":"","payload":""}`},
		{in: `{"topic":"\u0074\n","payload":"{\"a\":\"\\u017c\"}"}`, topic: "t\n", payload: `{"a":"\u017c"}`},
		{in: `{"topic":"t","payload":"zażółć"}`, topic: "t", payload: "zażółć"},
		{in: `{"topic":"t","payload": 1.50 }`, topic: "t", payload: "1.50"},
		{in: `{"topic":1e3,"payload":true}`, topic: "1e3", payload: "true"},
		{in: `{"topic":"a","topic":"t","payload":"p"}`, topic: "t", payload: "p"},
		{in: `{"topic":"t","payload":"p"} and more`, topic: "t", payload: "p"},
		{in: ``, refused: "not JSON like"},
		{in: `null`, refused: "no topic"},
		{in: `"t"`, refused: "not JSON like"},
		{in: `[]`, refused: "not JSON like"},
		{in: `{}`, refused: "no topic"},
		{in: `{"topic":"t"}`, refused: "no payload"},
		{in: `{"payload":"p"}`, refused: "no topic"},
		{in: `{"topic":null,"payload":"p"}`, refused: "no topic"},
		{in: `{"topic":"t","payload":null}`, refused: "no payload"},
		{in: `{"topic":"t","payload":{"a":"b"}}`, refused: "payload is no text"},
		{in: `{"topic":"t","payload":["p"]}`, refused: "payload is no text"},
		{in: `{"topic":["t"],"payload":"p"}`, refused: "topic is no text"},
		{in: `{"Topic":"t","payload":"p"}`, refused: `a field "Topic"`},
		{in: `{"topic":"t","payload":"p","key":"k\u001b"}`, refused: `a field "key"`},
		{in: `{"topic":"t","payload":"p"`, refused: "not JSON like"},
		{in: `{'topic':'t','payload':'p'}`, refused: "not JSON like"},
		{in: "{\"topic\":\"t\",\"payload\":\"\xff\"}", refused: "not JSON like"},
		{in: strings.Repeat(`{"a":`, 100_000), refused: "not JSON like"},
	}
	for _, tt := range tests {
		topic, payload, err := parseRecord(connector.Record{Typename: recordType, Value: []byte(tt.in)})
		if topic != tt.topic || payload != tt.payload {
			t.Errorf("%.80s: %q, %q; want %q, %q", tt.in, topic, payload, tt.topic, tt.payload)
		}
		if tt.refused == "" && err != nil || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%.80s: %v, want %q", tt.in, err, tt.refused)
		}
	}
}

// Records are made by functions, so they may be anything. What is taken is text, and written out again it is
// the same.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		`{"topic":"t","payload":"p"}`, `{"topic":1,"payload":false}`, `{"topic":"\ud800","payload":"\u0000"}`, `{}`, `null`, "\xff",
		`{"topic":"t","payload":{}}`, `{"topic":"t","payload":"p"}{`, `[[[[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		topic, payload, err := parseRecord(connector.Record{Typename: recordType, Value: value})
		if err != nil {
			return
		}
		if !utf8.ValidString(topic) || !utf8.ValidString(payload) {
			t.Fatalf("%q gave %q and %q", value, topic, payload)
		}
		again, err := json.Marshal(map[string]string{"topic": topic, "payload": payload})
		if err != nil {
			t.Fatal(err)
		}
		topic2, payload2, err := parseRecord(connector.Record{Typename: recordType, Value: again})
		if err != nil || topic2 != topic || payload2 != payload {
			t.Fatalf("%q gave %q and %q, and these give %q, %q, %v", value, topic, payload, topic2, payload2, err)
		}
	})
}
