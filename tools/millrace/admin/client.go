// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// Client asks the admin address of a running engine.
type Client struct {
	http  *http.Client
	base  string
	token string
}

// NewClient returns a client for an address, "host:port" or "unix:/path". The token file may be empty.
func NewClient(address, tokenFile string) (*Client, error) {
	if !validAddress(address) {
		return nil, fmt.Errorf("admin: %q: want host:port or unix:/path", address)
	}
	token, err := readToken(tokenFile)
	if err != nil {
		return nil, err
	}
	c := &Client{base: "http://" + address, token: token}
	// Neither a proxy nor the target of a redirect gets to see the token.
	transport := &http.Transport{}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Refusal is an answer that is none of success.
type Refusal struct {
	Status              int
	Code, Message, Hint string
}

func (r *Refusal) Error() string {
	if r.Code == "" {
		return fmt.Sprintf("admin: status %d", r.Status)
	}
	return fmt.Sprintf("admin: %s: %s; %s", r.Code, r.Message, r.Hint)
}

// Delivery says what is promised of a message.
type Delivery struct {
	Durable bool   // It is in a committed checkpoint, as is the answer of a call.
	Key     string // With the same key a message counts once, and a call gets the first answer; empty: no key.
}

func (d Delivery) query(to statefun.Address, m statefun.TypedValue) url.Values {
	q := url.Values{"address": {to.String()}, "type": {m.Typename}}
	if d.Durable {
		q.Set("durable", "true")
	}
	if d.Key != "" {
		q.Set("key", d.Key)
	}
	return q
}

// Send sends a message.
func (c *Client) Send(ctx context.Context, to statefun.Address, m statefun.TypedValue, d Delivery) error {
	_, err := c.ask(ctx, http.MethodPost, "/v1/send", d.query(to, m), m.Value)
	return err
}

// Call sends a message and returns the answer.
func (c *Client) Call(ctx context.Context, to statefun.Address, m statefun.TypedValue, d Delivery) (statefun.TypedValue, error) {
	return c.ask(ctx, http.MethodPost, "/v1/call", d.query(to, m), m.Value)
}

// State returns the state of an address as of a committed epoch.
func (c *Client) State(ctx context.Context, a statefun.Address) (s store.State, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/state", url.Values{"address": {a.String()}}, &s)
	return s, err
}

// Checkpoints returns the checkpoints that the engine's store keeps, the newest first.
func (c *Client) Checkpoints(ctx context.Context) (list []store.Checkpoint, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/checkpoints", nil, &list)
	return list, err
}

// Inspect reads the newest checkpoint.
func (c *Client) Inspect(ctx context.Context, q store.Question) (i store.Inspection, err error) {
	query := url.Values{}
	if q.Sum != "" {
		query.Set("sum", q.Sum)
	}
	if q.SumInFlight != "" {
		query.Set("sum_in_flight", q.SumInFlight)
	}
	err = c.read(ctx, http.MethodGet, "/v1/checkpoint", query, &i)
	return i, err
}

// Checkpoint has a checkpoint taken now.
func (c *Client) Checkpoint(ctx context.Context) (made Created, err error) {
	err = c.read(ctx, http.MethodPost, "/v1/checkpoint", nil, &made)
	return made, err
}

// Resume has a suspended address go on; with skip it gives up its first message.
func (c *Client) Resume(ctx context.Context, a statefun.Address, skip bool) error {
	_, err := c.ask(ctx, http.MethodPost, "/v1/resume", url.Values{"address": {a.String()}, "skip": {strconv.FormatBool(skip)}}, nil)
	return err
}

// ResumeAll has all suspended addresses of a function type go on, as Resume does, and returns how many they are.
func (c *Client) ResumeAll(ctx context.Context, t statefun.FunctionType, skip bool) (int, error) {
	var r resumed
	err := c.read(ctx, http.MethodPost, "/v1/resume", url.Values{"all": {t.String()}, "skip": {strconv.FormatBool(skip)}}, &r)
	return r.Addresses, err
}

// Suspended returns the addresses that are suspended.
func (c *Client) Suspended(ctx context.Context) (s Suspended, err error) {
	err = c.read(ctx, http.MethodGet, "/v1/suspended", nil, &s)
	return s, err
}

// read asks for an answer that is JSON.
func (c *Client) read(ctx context.Context, method, path string, query url.Values, into any) error {
	answer, err := c.ask(ctx, method, path, query, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Value, into); err != nil {
		return fmt.Errorf("admin: %s: %w", path, err)
	}
	return nil
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, value []byte) (answer statefun.TypedValue, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path+"?"+query.Encode(), bytes.NewReader(value))
	if err != nil {
		return answer, fmt.Errorf("admin: %w", err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return answer, fmt.Errorf("admin: no answer in time; what was asked for may still take effect: %w", ctx.Err())
	}
	if err != nil {
		return answer, fmt.Errorf("admin: is the engine running? %w", err)
	}
	defer response.Body.Close()
	answer.Typename = response.Header.Get(typenameHeader)
	if answer.Value, err = io.ReadAll(response.Body); err != nil {
		return answer, fmt.Errorf("admin: %w", err)
	}
	if response.StatusCode < 300 {
		return answer, nil
	}
	var b body
	_ = json.Unmarshal(answer.Value, &b) // Else the status has to say it.
	return answer, &Refusal{response.StatusCode, b.Error.Code, b.Error.Message, b.Error.Hint}
}
