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

// Send sends a message.
func (c *Client) Send(ctx context.Context, to statefun.Address, m statefun.TypedValue) error {
	_, err := c.ask(ctx, http.MethodPost, "/v1/send", url.Values{"address": {to.String()}, "type": {m.Typename}}, m.Value)
	return err
}

// Call sends a message and returns the answer.
func (c *Client) Call(ctx context.Context, to statefun.Address, m statefun.TypedValue) (statefun.TypedValue, error) {
	return c.ask(ctx, http.MethodPost, "/v1/call", url.Values{"address": {to.String()}, "type": {m.Typename}}, m.Value)
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
