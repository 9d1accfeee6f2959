// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What a client is promised is what the ingress is told to promise, or else what the backend can keep; and that
// goes for all ways in.
func TestIngressAcknowledges(t *testing.T) {
	for _, tt := range []struct {
		ack     string
		backend bool // It is durable.
		want    bool
		warns   bool
	}{
		{"", false, false, false},
		{"", true, true, false},
		{AckAccepted, true, false, false},
		{AckDurable, true, true, false},
		{AckDurable, false, true, true},
	} {
		t.Run(fmt.Sprintf("ack=%s/durable=%t", tt.ack, tt.backend), func(t *testing.T) {
			var got []connector.Delivery
			var log bytes.Buffer
			e := &entry{durable: tt.backend, wait: func(_ context.Context, d connector.Delivery) error {
				got = append(got, d)
				return nil
			}}
			in := open(t, IngressConfig{ID: "shop.io/http", Ack: tt.ack, Logger: slog.New(slog.NewTextHandler(&log, nil))}, e)
			for _, path := range []string{"/shop/cart/7", "/call/shop/cart/7", "/ingress"} {
				if resp, body := ask(t, in, post(path, "v")); resp.StatusCode/100 != 2 {
					t.Errorf("%s: %d %s", path, resp.StatusCode, body)
				}
			}
			if len(got) != 3 {
				t.Fatalf("%d messages, want 3", len(got))
			}
			for _, d := range got {
				if d.Durable != tt.want || d.Key != nil || d.Window != 0 {
					t.Errorf("%+v, want durable %t and no key", d, tt.want)
				}
			}
			if warned := strings.Contains(log.String(), "no commit survives"); warned != tt.warns {
				t.Errorf("the log is %q", log.String())
			}
		})
	}
}

// A key reaches the engine behind the name of the ingress, so that keys of two ingresses are not the same.
func TestIdempotencyKey(t *testing.T) {
	long := strings.Repeat("k", 255)
	for _, tt := range []struct {
		name, id string
		headers  []string
		want     string // Behind the name.
		refused  bool
	}{
		{"key", "shop.io/http", []string{"Idempotency-Key: k-1"}, "shop.io/http\x00k-1", false},
		{"no id", "", []string{"idempotency-key:k-1 "}, "\x00k-1", false},
		{"all that is printable", "a/b", []string{`Idempotency-Key: "8e 0~!"`}, "a/b\x00\"8e 0~!\"", false},
		{"longest", "a/b", []string{"Idempotency-Key: " + long}, "a/b\x00" + long, false},
		{"one over", "a/b", []string{"Idempotency-Key: " + long + "k"}, "", true},
		{"empty", "a/b", []string{"Idempotency-Key:"}, "", true},
		{"blank", "a/b", []string{"Idempotency-Key:  "}, "", true},
		{"not ASCII", "a/b", []string{"Idempotency-Key: clé"}, "", true},
		{"tab", "a/b", []string{"Idempotency-Key: a\tb"}, "", true},
		{"twice", "a/b", []string{"Idempotency-Key: a", "Idempotency-Key: a"}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			e := &entry{wait: func(_ context.Context, d connector.Delivery) error {
				if got = append(got, string(d.Key)); d.Window != time.Hour {
					t.Errorf("window %v, want 1h", d.Window)
				}
				return nil
			}}
			in := open(t, IngressConfig{ID: tt.id, IdempotencyWindow: time.Hour}, e)
			paths := []string{"/shop/cart/7", "/call/shop/cart/7"}
			if tt.id != "" {
				paths = append(paths, "/ingress")
			}
			for _, path := range paths {
				resp, body := ask(t, in, request("POST", path, "application/vnd.t/v", "v", tt.headers...))
				if !tt.refused && resp.StatusCode/100 != 2 {
					t.Errorf("%s: %d %s", path, resp.StatusCode, body)
				}
				if tt.refused && (resp.StatusCode != 400 || errorCode(t, resp, body) != "bad_idempotency_key") {
					t.Errorf("%s: %d %s, want 400", path, resp.StatusCode, body)
				}
			}
			if tt.refused {
				paths = nil
			}
			if len(got) != len(paths) || len(got) > 0 && got[0] != tt.want {
				t.Errorf("keys %q, want %d of %q", got, len(paths), tt.want)
			}
		})
	}
}

// A key of any ingress fits.
func TestIdempotencyKeyFits(t *testing.T) {
	if most := max(statefun.TypenameBytesMax, addressMax) + 1 + idempotencyMax; most > connector.KeyBytesMax {
		t.Errorf("a key can have %d bytes, the engine takes %d", most, connector.KeyBytesMax)
	}
}

// Whoever waits in vain learns what has become of the message, and how to send it again.
func TestIngressCannotAcknowledge(t *testing.T) {
	const again, twice = "with the same Idempotency-Key: it counts once", "it may count twice"
	for _, tt := range []struct {
		name, path, ack, key string
		err                  error // DeadlineExceeded: the time is over.
		status               int
		code, hint           string
	}{
		{"reused", "/shop/cart/7", AckAccepted, "k", connector.ErrKeyReused, 422, "idempotency_key_reused", "a new key for each message"},
		{"reused in a call", "/call/shop/cart/7", AckDurable, "k", connector.ErrKeyReused, 422, "idempotency_key_reused", "a new key for each message"},
		{"reused event", "/ingress", AckDurable, "k", connector.ErrKeyReused, 422, "idempotency_key_reused", "a new key for each message"},
		{"late", "/shop/cart/7", AckDurable, "k", context.DeadlineExceeded, 503, "not_durable_yet", again},
		{"late without a key", "/shop/cart/7", AckDurable, "", context.DeadlineExceeded, 503, "not_durable_yet", twice},
		{"late event", "/ingress", AckDurable, "k", context.DeadlineExceeded, 503, "not_durable_yet", again},
		{"late answer", "/call/shop/cart/7", AckDurable, "k", context.DeadlineExceeded, 504, "call_timeout", "gets the answer once there is one"},
		{"late answer without a key", "/call/shop/cart/7", AckAccepted, "", context.DeadlineExceeded, 504, "call_timeout", "replies to its caller"},
		{"closing", "/shop/cart/7", AckDurable, "k", connector.ErrClosing, 503, "closing", again},
		{"closing without a key", "/shop/cart/7", AckDurable, "", connector.ErrClosing, 503, "closing", twice},
		{"closing before it is accepted", "/shop/cart/7", AckAccepted, "k", connector.ErrClosing, 503, "closing", "after the seconds that Retry-After gives"},
		{"closing during a call", "/call/shop/cart/7", AckAccepted, "k", connector.ErrClosing, 503, "closing", again},
		{"no credit", "/shop/cart/7", AckDurable, "k", connector.ErrNoCredit, 503, "out_of_credit", "after the seconds that Retry-After gives"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &entry{durable: true, wait: func(ctx context.Context, _ connector.Delivery) error {
				if errors.Is(tt.err, context.DeadlineExceeded) {
					<-ctx.Done()
					return ctx.Err()
				}
				return fmt.Errorf("engine: %w", tt.err)
			}}
			in := open(t, IngressConfig{ID: "a/b", Ack: tt.ack, CallTimeout: time.Millisecond}, e)
			var headers []string
			if tt.key != "" {
				headers = []string{"Idempotency-Key: " + tt.key}
			}
			resp, body := ask(t, in, request("POST", tt.path, "application/vnd.t/v", "v", headers...))
			if code := errorCode(t, resp, body); resp.StatusCode != tt.status || code != tt.code || !strings.Contains(body, tt.hint) {
				t.Errorf("%d %s; want %d %s and %q", resp.StatusCode, body, tt.status, tt.code, tt.hint)
			}
			if again := resp.Header.Get("Retry-After") != ""; again != (tt.status == 503) {
				t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
			}
		})
	}
}

// An acknowledgement that nobody can give any more when the time for closing is over is refused, not cut off.
func TestCloseAnswersWhoWaits(t *testing.T) {
	begun := make(chan struct{})
	in := open(t, IngressConfig{}, &entry{durable: true, wait: func(ctx context.Context, _ connector.Delivery) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}})
	c := dial(t, in)
	if _, err := io.WriteString(c, request("POST", "/shop/cart/7", "application/vnd.t/v", "v", "Idempotency-Key: k")); err != nil {
		t.Fatal(err)
	}
	<-begun
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := in.Close(ctx); err != nil {
		t.Errorf("Close = %v; want nil: nothing was cut", err)
	}
	resp, body := readAnswer(t, bufio.NewReader(c))
	if code := errorCode(t, resp, body); resp.StatusCode != 503 || code != "closing" || !strings.Contains(body, "same Idempotency-Key") || !resp.Close {
		t.Errorf("%d %s %v", resp.StatusCode, body, resp.Header)
	}
}
