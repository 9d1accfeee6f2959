// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEgressRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int, arrived) string { return ok }}
		e := r.egress(t, EgressConfig{Headers: map[string]string{"X-A": "b"}})
		o := outcomes{t: t}
		rec := record("a/b \r\nX: y\xff", 7)
		rec.Value = []byte{0, 1, 255}
		rec.Typename = "com.acme/shop/Order"
		o.publish(e, rec)
		empty := record("e", 8)
		empty.Value = nil
		o.publish(e, empty)
		shut(t, e)
		o.check(2, nil)
		got := r.arrived()
		slices.SortFunc(got, func(a, b arrived) int { return strings.Compare(a.key, b.key) })
		if len(got) != 2 || got[0].body != "\x00\x01\xff" || got[1].body != "" {
			t.Fatalf("received %+v", got)
		}
		if got[0].uri != "/hook?a=b" || got[0].host != "receiver" {
			t.Errorf("sent to %s at %s", got[0].uri, got[0].host)
		}
		want := map[string]string{
			"Millrace-Sender": "shop/cart/a%2Fb%20%0D%0AX:%20y%FF",
			"Millrace-Egress": "shop.io/out",
			"Idempotency-Key": "app-shop.io/out-41-7",
			"Content-Type":    "application/vnd.com.acme/shop/Order",
			"Content-Length":  "3",
			"X-A":             "b",
		}
		for name, value := range want {
			if h := got[0].header[name]; len(h) != 1 || h[0] != value {
				t.Errorf("%s: %q, want %q", name, h, value)
			}
		}
		if len(got[0].header) != len(want) {
			t.Errorf("headers %v, want %v and no other", got[0].header, want)
		}
	})
}

// Which answers are a success, which are worth another attempt, and which say no.
func TestEgressStatuses(t *testing.T) {
	const delivered, retried, refused = "delivered", "retried", "refused"
	tests := map[string]string{
		status("200 OK"): delivered, status("201 Created"): delivered, status("202 Accepted"): delivered,
		"HTTP/1.1 204 No Content\r\n\r\n": delivered, status("299 X"): delivered,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok: delivered,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n":      delivered,
		"HTTP/1.0 200 OK\r\n\r\nuntil the end":                                          delivered,
		"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nnot all":                   delivered, // It has said yes.

		status("408 Request Timeout"): retried, status("425 Too Early"): retried, status("429 Too Many Requests"): retried,
		status("500 X"): retried, status("501 X"): retried, status("503 X"): retried, status("599 X"): retried,
		"":                            retried,
		"HTTP/1.1 200":                retried, // The line may not have been whole.
		"220 mail.example ESMTP\r\n":  retried,
		"HTTP/1.1 200 OK\r\nX: never": retried,
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + ok: retried,

		status("300 X"): refused, status("301 X", "Location: http://elsewhere/"): refused, status("304 X"): refused,
		status("307 X", "Location: http://elsewhere/"): refused, status("400 X"): refused, status("401 X"): refused,
		status("404 X"): refused, status("409 X"): refused, status("410 X"): refused, status("413 X"): refused,
		status("422 X"): refused, status("101 Switching Protocols", "Upgrade: x", "Connection: Upgrade"): refused,
	}
	for answer, want := range tests {
		t.Run(fmt.Sprintf("%.60q", answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(n int, _ arrived) string {
					if n > 0 {
						return ok
					}
					return answer
				}}
				e := r.egress(t, EgressConfig{})
				o := outcomes{t: t}
				o.publish(e, record("a", 1))
				shut(t, e)
				err, done := o.of(1)
				if !done {
					t.Fatal("not done")
				}
				var refusal *StatusError
				got := delivered
				switch {
				case errors.As(err, &refusal):
					got = refused
				case err != nil:
					got = err.Error()
				case len(r.arrived()) > 1:
					got = retried
				}
				if got != want {
					t.Errorf("%s after %d requests, want %s", got, len(r.arrived()), want)
				}
				if want == refused && (refusal.Attempts != 1 || fmt.Sprint(refusal.Status) != answer[9:12]) {
					t.Errorf("%+v for %q", refusal, answer)
				}
			})
		})
	}
}

// pauses returns the times between the requests that arrived.
func pauses(got []arrived) []time.Duration {
	var d []time.Duration
	for i := 1; i < len(got); i++ {
		d = append(d, got[i].at.Sub(got[i-1].at))
	}
	return d
}

func TestEgressBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 14
		r := &receiver{answer: func(n int, _ arrived) string {
			if n < failures {
				return status("503 X")
			}
			return ok
		}}
		e := r.egress(t, EgressConfig{})
		o := outcomes{t: t}
		o.publish(e, record("a", 1))
		shut(t, e)
		o.check(1, nil)
		got := r.arrived()
		longest := 50 * time.Millisecond
		distinct := map[time.Duration]bool{}
		for i, pause := range pauses(got) {
			if pause < longest/2 || pause > longest {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, longest/2, longest)
			}
			distinct[pause*1000/longest] = true
			longest = min(2*longest, 30*time.Second)
		}
		if len(got) != failures+1 || len(distinct) < 3 {
			t.Errorf("%d requests with %d different pauses; want %d, with jitter", len(got), len(distinct), failures+1)
		}
		for _, a := range got {
			if a.key != got[0].key || a.body != got[0].body {
				t.Errorf("an attempt differs: %+v", a)
			}
		}
	})
}

func TestEgressHonoursRetryAfter(t *testing.T) {
	tests := []struct {
		value    string
		min, max time.Duration
	}{
		{"7", 7 * time.Second, 7 * time.Second},
		{"0", 25 * time.Millisecond, 50 * time.Millisecond},
		{"Sat, 01 Jan 2000 00:01:00 GMT", time.Minute, time.Minute}, // A bubble's clock starts a minute before.
		{"Fri, 31 Dec 1999 00:00:00 GMT", 25 * time.Millisecond, 50 * time.Millisecond},
		{"999999999", retryAfterMax, retryAfterMax},
		{"99999999999999999999", 25 * time.Millisecond, 50 * time.Millisecond},
		{"-1", 25 * time.Millisecond, 50 * time.Millisecond},
		{"soon", 25 * time.Millisecond, 50 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{answer: func(n int, _ arrived) string {
					if n == 0 {
						return status("429 X", "Retry-After: "+tt.value)
					}
					return ok
				}}
				e := r.egress(t, EgressConfig{})
				o := outcomes{t: t}
				o.publish(e, record("a", 1))
				shut(t, e)
				o.check(1, nil)
				if p := pauses(r.arrived()); len(p) != 1 || p[0] < tt.min || p[0] > tt.max {
					t.Errorf("pauses %v, want one of %v to %v", p, tt.min, tt.max)
				}
			})
		})
	}
}

func TestEgressMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int, arrived) string { return status("500 X") }}
		e := r.egress(t, EgressConfig{MaxAttempts: 3})
		o := outcomes{t: t}
		o.publish(e, record("a", 1))
		o.publish(e, record("a", 2)) // Has its own three.
		shut(t, e)
		o.check(2, ErrAttempts)
		var last *StatusError
		if err, _ := o.of(1); !errors.As(err, &last) || last.Status != 500 || last.Attempts != 3 {
			t.Errorf("%v, want the last status in it", err)
		}
		if n := len(r.arrived()); n != 6 {
			t.Errorf("%d requests, want 6", n)
		}
	})
}

// The operator hears of an outage once, and once of its end; never of what is in the records.
func TestEgressLogsOutagesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &receiver{answer: func(n int, _ arrived) string {
			switch {
			case n < 5:
				return "garbage \x1b[2J that the receiver sent\r\n\r\n"
			case n < 10:
				return ""
			}
			return ok
		}}
		e := r.egress(t, EgressConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		o := outcomes{t: t}
		rec := record("secret", 1)
		rec.Value = []byte("secret")
		o.publish(e, rec)
		shut(t, e)
		o.check(1, nil)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "WARN") || !strings.Contains(lines[1], "delivers again") {
			t.Errorf("logged %q, want one warning and one all-clear", lines)
		}
		for _, word := range []string{"secret", "garbage", "\x1b"} {
			if strings.Contains(log.String(), word) {
				t.Errorf("%q is in the log: %q", word, lines)
			}
		}
	})
}
