// SPDX-License-Identifier: Apache-2.0

package module

import (
	"strings"

	"github.com/millrace-io/millrace/engine/kind"
)

// formerly are the kinds as files of version 3.0 name them.
var formerly = map[string]string{
	"http":                        "io.statefun.endpoints.v1/http",
	"io.statefun.kafka/ingress":   "io.statefun.kafka.v1/ingress",
	"io.statefun.kafka/egress":    "io.statefun.kafka.v1/egress",
	"io.statefun.kinesis/ingress": "io.statefun.kinesis.v1/ingress",
	"io.statefun.kinesis/egress":  "io.statefun.kinesis.v1/egress",
}

// unknownKind reports a kind that is not there, with those that may be meant.
func (l *loader) unknownKind(name *kind.Node, field string) {
	p := kind.Problem{Position: name.Position, Field: field, Message: shown(name.Text) + " is no kind"}
	var similar []string
	for _, k := range l.names {
		if k == formerly[name.Text] || distance(strings.ToLower(name.Text), strings.ToLower(k)) <= 3 {
			similar = append(similar, k)
		}
	}
	known := "the kinds are " + strings.Join(l.names, ", ")
	switch {
	case strings.HasPrefix(name.Text, "io.statefun.kafka"):
		p.Message = shown(name.Text) + " is not available: there is no Kafka connector yet"
		p.Hint = known
	case strings.HasPrefix(name.Text, "io.statefun.kinesis"):
		p.Message = shown(name.Text) + " is not available: there is no Kinesis connector yet"
		p.Hint = known
	case len(similar) > 0:
		p.Hint = "did you mean " + strings.Join(similar, " or ") + "? " + known
	default:
		p.Hint = known
	}
	l.report(p)
}

// distance is the number of characters to insert, to remove and to replace on the way from a to b. Of
// texts that differ much in length it is only known to be large.
func distance(a, b string) int {
	const much = 8
	if len(a) > len(b)+much || len(b) > len(a)+much {
		return much
	}
	above, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := above[j]
			if a[i] != b[j] {
				same++
			}
			row[j+1] = min(same, above[j+1]+1, row[j]+1)
		}
		above, row = row, above
	}
	return above[len(b)]
}
