// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// Arrivals is how requests come due.
type Arrivals string

// The arrivals.
const (
	Poisson  Arrivals = "poisson"  // Independently of each other, at a mean rate.
	Constant Arrivals = "constant" // One after the other, at equal distances.
	Closed   Arrivals = "closed"   // Each when a connection is free: no rate, and no load while the server stalls.
)

// Config says what to send. In the URL, the body and the values of headers, "{key}" stands for an id that is
// drawn for each request.
type Config struct {
	URL     string
	Unix    string // A socket to connect to, instead of the URL's host.
	Method  string // "": GET, or POST with a body.
	Body    string
	Headers []string // "Name: value".

	Connections int
	Rate        float64  // Requests a second; 0: as Closed.
	Arrivals    Arrivals // Of a Rate. "": Poisson.
	Duration    time.Duration
	// Timeout is the longest that a request may take. For as long again, requests that were due by the end
	// of Duration are still sent.
	Timeout time.Duration

	Keys int // How many ids {key} stands for.
	Dist keys.Dist
	Seed uint64

	Profiles loadgen.Profiles
	Curve    *loadgen.Curve // Filled in unless nil.
	Log      io.Writer      // Progress.

	Version, Commit string // Of the program, for the report.

	clock clock // Of a test.
}

const keyPlaceholder = "{key}"

func (c Config) withDefaults() Config {
	if c.Method == "" {
		c.Method = fasthttp.MethodGet
		if c.Body != "" {
			c.Method = fasthttp.MethodPost
		}
	}
	c.Arrivals = cmp.Or(c.Arrivals, Poisson)
	if c.Rate == 0 {
		c.Arrivals = Closed
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

// keyed reports whether requests differ by a key.
func (c Config) keyed() bool {
	return strings.Contains(c.URL+c.Body+strings.Join(c.Headers, ""), keyPlaceholder)
}

// load is what keys are drawn from. The ring of ids is walked again when there are more requests.
func (c Config) load() keys.Load {
	return keys.Load{Keys: c.Keys, Messages: keys.MessagesMax, Dist: c.Dist, Seed: c.Seed}
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	want := func(ok bool, field string, value any, accepted string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %v, want %s", field, value, accepted))
		}
	}
	u, err := url.Parse(c.URL) // It refuses a {key} in the host.
	want(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "url", fmt.Sprintf("%q", c.URL), "http://host:port/path or https://…")
	want(!strings.ContainsAny(c.Method, " \t\r\n"), "method", fmt.Sprintf("%q", c.Method), "one word")
	for _, h := range c.Headers {
		name, _, ok := strings.Cut(h, ":")
		want(ok && name != "" && !strings.ContainsAny(name, " {}") && !strings.ContainsAny(h, "\r\n"), "header", fmt.Sprintf("%q", h), "Name: value")
	}
	want(c.Connections >= 1 && c.Connections <= 1<<16, "connections", c.Connections, "1 to 65536")
	want(c.Rate >= 0 && c.Rate <= 1e7, "rate", c.Rate, "0 to 10000000 requests a second")
	want(c.Arrivals == Poisson || c.Arrivals == Constant || c.Arrivals == Closed && c.Rate == 0, "arrivals", string(c.Arrivals), "poisson or constant")
	want(c.Duration > 0 && c.Duration <= 24*time.Hour, "duration", c.Duration, "more than 0, at most 24h")
	want(c.Timeout > 0 && c.Timeout <= time.Hour, "timeout", c.Timeout, "more than 0, at most 1h")
	if c.keyed() {
		errs = append(errs, c.load().Validate())
	}
	return errors.Join(errs...)
}
