// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/loadgen/httpload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// httpFlags are the flags of loadgen http as they are typed.
type httpFlags struct {
	httpload.Config
	dist, arrivals string
	json           bool
	plot           plotFile
}

func httpCommand() *cobra.Command {
	var f httpFlags
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Send HTTP requests at a rate, and measure how long they take",
		Long: `Send HTTP requests to a URL and measure how long each takes.

With --rate requests come due by a schedule of their own, however slowly the server answers. One that finds all
connections busy waits for one, and every latency counts from when the request was due: a server that stalls for
a second has made all requests of that second wait, and the percentiles say so. Without --rate each connection
sends the next request when the last one has been answered.

Requests that were due by the end of --duration are still sent for as long as --timeout. {key} in the URL, the body
and the values of headers is an id like key-000000000042, drawn for each request.

The report goes to stdout, progress to stderr. With --json it has the keys of loadgen engine --json as well: messages
are the requests that were due, invocations those that were answered with a status of 200 to 299; verified is
false, for what the server keeps is not read back. Exit code 0: done, whatever the server answered; 1: nothing
was answered, or failed; 2: a flag is wrong, and nothing was sent.`,
		Example: `  loadgen http --url http://127.0.0.1:8090/shop/cart/{key} --method PUT --header 'Content-Type: text/plain' --body hello \
    --connections 64 --rate 10000 --duration 10s
  loadgen http --url http://127.0.0.1:8090/ --connections 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.config()
			if err != nil {
				return err
			}
			config.Log = cmd.ErrOrStderr()
			return runHTTP(cmd, config, f)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&f.URL, "url", "", "where requests go: http://host:port/path or https://…")
	set.StringVar(&f.Unix, "unix", "", "connect to this socket instead of the URL's host")
	set.StringVar(&f.Method, "method", "", "method (default: GET, with a body POST)")
	set.StringVar(&f.Body, "body", "", "body")
	set.StringArrayVar(&f.Headers, "header", nil, "header, as 'Name: value'; may be given more than once")
	set.IntVar(&f.Connections, "connections", 64, "connections, each with one request at a time")
	set.Float64Var(&f.Rate, "rate", 0, "requests a second (default: a closed loop)")
	set.StringVar(&f.arrivals, "arrivals", string(httpload.Poisson), "how they come due at --rate: poisson or constant")
	set.DurationVar(&f.Duration, "duration", 10*time.Second, "how long requests come due")
	set.DurationVar(&f.Timeout, "timeout", 10*time.Second, "longest time that a request may take")
	set.IntVar(&f.Keys, "keys", 1000, "number of keys")
	set.StringVar(&f.dist, "dist", string(keys.Uniform), "how requests fall on keys: uniform, or zipf with exponent 1.1")
	set.Uint64Var(&f.Seed, "seed", 1, "seed of everything that is random")
	set.BoolVar(&f.json, "json", false, "report as one JSON object on the last line of stdout")
	f.plot.flag(set)
	profileFlags(set, &f.Profiles, "the whole run")
	return cmd
}

// config is what the flags say, or everything that is wrong with them.
func (f httpFlags) config() (httpload.Config, error) {
	c := f.Config
	c.Arrivals, c.Dist = httpload.Arrivals(f.arrivals), keys.Dist(f.dist)
	c.Version, c.Commit = buildVersion(), buildCommit()
	c.Curve = f.plot.curve("", "requests")
	errs := []error{c.Validate()}
	if c.Arrivals != httpload.Poisson && c.Arrivals != httpload.Constant {
		errs = append(errs, fmt.Errorf("arrivals: %q, want poisson or constant", f.arrivals))
	}
	if err := errors.Join(errs...); err != nil {
		return c, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return c, errors.Join(f.plot.check(), c.Profiles.Create())
}

func runHTTP(cmd *cobra.Command, c httpload.Config, f httpFlags) error {
	report, err := httpload.Run(cmd.Context(), c)
	if err != nil {
		return failure{err}
	}
	title := fmt.Sprintf("%s %s, %d connections", report.Method, report.URL, report.Connections)
	if c.Rate > 0 {
		title += fmt.Sprintf(", %g requests/s asked for", c.Rate)
	}
	if err := f.plot.write(title, c.Curve); err != nil {
		return failure{err}
	}
	if err := writeReport(cmd, report, f.json); err != nil {
		return err
	}
	return nil
}
