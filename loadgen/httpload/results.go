// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// latencyMax is the longest latency that is told from longer ones.
const latencyMax = 24 * time.Hour

// results is what came of all requests. One lock for all connections costs far less than a request does, and a
// histogram for each would fill the memory.
type results struct {
	mu       sync.Mutex
	latency  *hdrhistogram.Histogram
	statuses map[int]int64
	errors   map[string]int64
	done     int64 // Answered or failed.
	unsent   int64
	end      time.Duration // When the last one was.
	first    error         // Of those that failed.
}

func newResults() *results {
	return &results{
		latency:  hdrhistogram.New(1, int64(latencyMax), 3),
		statuses: map[int]int64{}, errors: map[string]int64{},
	}
}

// note notes the end of a request.
func (r *results) note(a arrival, now time.Duration, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record(now - a.due)
	r.done++
	r.end = max(r.end, now)
	if err == nil {
		r.statuses[status]++
		return
	}
	if r.first == nil {
		r.first = err
	}
	r.errors[r.kind(err)]++
}

func (r *results) record(took time.Duration) {
	// What is beyond the last bucket is recorded as the longest there is.
	_ = r.latency.RecordValue(min(max(int64(took), 1), int64(latencyMax)))
}

// answered is how many requests were answered, whatever the status; succeeded those with one of 200 to 299.
func (r *results) answered() (answered, succeeded int64) {
	for status, n := range r.statuses {
		answered += n
		if status/100 == 2 {
			succeeded += n
		}
	}
	return answered, succeeded
}

// count is how many requests are done.
func (r *results) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// kind names an error without what differs from one request to the next, such as ports.
func (r *results) kind(err error) string {
	const kindsMax, textMax = 20, 120
	var number syscall.Errno
	var timeout net.Error
	var lookup *net.DNSError
	text := err.Error()
	switch {
	case errors.Is(err, fasthttp.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		text = "timeout"
	case errors.As(err, &number):
		text = number.Error()
	case errors.As(err, &lookup):
		text = "host not found"
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "connection closed by the server"
	case len(text) > textMax:
		text = text[:textMax]
	}
	if _, known := r.errors[text]; !known && len(r.errors) >= kindsMax {
		return "others"
	}
	return text
}
