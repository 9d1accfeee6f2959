// SPDX-License-Identifier: Apache-2.0

package playground

import "sync"

// topics holds the payloads that nobody has fetched yet.
type topics struct {
	most      int // Payloads in one topic.
	bytesMost int // Payloads of all topics.

	mu     sync.Mutex
	queues map[string]*queue // The map is never changed; its queues are guarded by mu.
	bytes  int               // Guarded by mu.
}

// queue is first in, first out. What has been taken leaves a hole in front of head.
type queue struct {
	payloads []string
	head     int
}

func newTopics(names []string, most, bytesMost int) *topics {
	t := &topics{most: most, bytesMost: bytesMost, queues: map[string]*queue{}}
	for _, name := range names {
		t.queues[name] = &queue{}
	}
	return t
}

// has needs no lock.
func (t *topics) has(topic string) bool { return t.queues[topic] != nil }

// push appends a payload to a topic that there is; false when it is full.
func (t *topics) push(topic, payload string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[topic]
	if len(q.payloads)-q.head >= t.most || len(payload) > t.bytesMost-t.bytes {
		return false
	}
	if q.head > len(q.payloads)/2 {
		// Fewer move than have been taken since the last time.
		n := copy(q.payloads, q.payloads[q.head:])
		clear(q.payloads[n:])
		q.payloads, q.head = q.payloads[:n], 0
	}
	q.payloads = append(q.payloads, payload)
	t.bytes += len(payload)
	return true
}

// pop takes the oldest payload of a topic that there is; false when it is empty.
func (t *topics) pop(topic string) (payload string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[topic]
	if payload, ok = q.first(); !ok {
		return "", false
	}
	q.payloads[q.head] = ""
	q.head++
	t.bytes -= len(payload)
	if q.head == len(q.payloads) {
		*q = queue{} // Gives the memory of a long queue back.
	}
	return payload, true
}

// peek returns what pop would take.
func (t *topics) peek(topic string) (payload string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queues[topic].first()
}

func (q *queue) first() (payload string, ok bool) {
	if q.head == len(q.payloads) {
		return "", false
	}
	return q.payloads[q.head], true
}
