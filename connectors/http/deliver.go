// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Back-off between the attempts for one record.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 30 * time.Second
	// retryAfterMax bounds what a receiver may ask for, so that a wrong date does not stop a sender for
	// good.
	retryAfterMax = 5 * time.Minute
)

// deliver sends the record until it is delivered or never will be.
func (e *Egress) deliver(r connector.Record) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	e.fill(req, r)
	for attempt := 1; ; attempt++ {
		a, err := e.attempt(req)
		if e.base.Err() != nil && err != nil {
			return fmt.Errorf("http: egress %s: %w", e.c.ID, ErrClosed)
		}
		if err == nil {
			if a.status/100 == 2 {
				e.noteSuccess()
				return nil
			}
			err = &StatusError{Egress: e.c.ID, Status: a.status, Attempts: attempt}
			if !retryable(a.status) {
				return err
			}
		}
		e.noteFailure(err)
		if e.c.MaxAttempts > 0 && attempt >= e.c.MaxAttempts {
			return fmt.Errorf("http: egress %s: %w (%d): %w", e.c.ID, ErrAttempts, attempt, err)
		}
		wait := min(max(backoff(attempt), parseRetryAfter(a.retryAfter, time.Now())), retryAfterMax)
		select {
		case <-time.After(wait):
		case <-e.base.Done():
			return fmt.Errorf("http: egress %s: %w", e.c.ID, ErrClosed)
		}
	}
}

// attempt sends the request once, when its turn has come.
func (e *Egress) attempt(req *fasthttp.Request) (answer, error) {
	select {
	case e.flight <- struct{}{}:
	case <-e.base.Done():
		return answer{}, e.base.Err()
	}
	defer func() { <-e.flight }()
	ctx, stop := context.WithTimeout(e.base, e.c.Timeout)
	defer stop()
	return e.client.exchange(ctx, req)
}

// fill makes req the request of a record. The record's value is not copied.
func (e *Egress) fill(req *fasthttp.Request, r connector.Record) {
	h := &req.Header
	h.SetMethod(fasthttp.MethodPost)
	h.SetHost(e.to.host)
	h.SetRequestURI(e.to.uri)
	for name, value := range e.c.Headers {
		h.Set(name, value)
	}
	h.SetContentType(vendor + r.Typename)
	h.Set("Millrace-Sender", escapeAddress(r.Sender))
	h.Set("Millrace-Egress", r.Egress)
	h.Set("Idempotency-Key", r.IdempotencyKey())
	req.SetBodyRaw(r.Value)
}

// escapeAddress writes an address as the path of an ingress has it, so that an answer can be sent to it
// as it is, and any id fits into a header.
func escapeAddress(a statefun.Address) string {
	return url.PathEscape(a.Type.Namespace) + "/" + url.PathEscape(a.Type.Name) + "/" + url.PathEscape(a.ID)
}

// retryable reports whether a receiver that gave this status may take the same request later.
func retryable(status int) bool {
	const tooEarly = 425
	switch status {
	case fasthttp.StatusRequestTimeout, // It saw only a part of the request.
		tooEarly,                       // It fears a replay, and asks to be sent the request again.
		fasthttp.StatusTooManyRequests: // It takes fewer requests at a time than it is sent.
		return true
	}
	return status/100 == 5 // The fault is its own.
}

// backoff doubles from backoffMin to backoffMax. The upper half of it is random, so that senders that
// failed together do not come back together.
func backoff(attempt int) time.Duration {
	d := backoffMax
	if attempt < 16 { // Beyond, the shift would be over the maximum anyway, and then overflow.
		d = min(backoffMin<<(attempt-1), backoffMax)
	}
	return d/2 + rand.N(d/2+1)
}

// parseRetryAfter reads the header's two forms, seconds and a date; 0 for anything else.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// noteFailure and noteSuccess log the first failure after a success and the first success after that: the
// operator hears of an outage once, not once for each record.
func (e *Egress) noteFailure(err error) {
	if e.failing.CompareAndSwap(false, true) {
		e.c.Logger.Warn("http egress gets no success, trying on", "egress", e.c.ID, "error", err)
	}
}

func (e *Egress) noteSuccess() {
	if e.failing.Load() && e.failing.CompareAndSwap(true, false) {
		e.c.Logger.Info("http egress delivers again", "egress", e.c.ID)
	}
}
