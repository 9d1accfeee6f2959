// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/remote"
)

// remoteFlags are the flags of loadgen remote as they are typed.
type remoteFlags struct {
	network, server     string
	inProcess, json     bool
	connections, rounds int
	keys, shards        int
	invocations         []int
	seconds             float64
	profiles            loadgen.Profiles
	plot                plotFile
}

func remoteCommand() *cobra.Command {
	var f remoteFlags
	cmd := &cobra.Command{
		Use:   "remote",
		Short: "Invoke functions in a second process, by a bare client and by an engine",
		Long: `Invoke a counter that is written with the official Go SDK of StateFun and served by a second process:
by a bare HTTP client, whose requests are made beforehand, and by an engine, in turns and over as many
connections. How much of the bare client's throughput is left is what the engine costs.

The report goes to stdout, progress to stderr. With --json it has the keys of loadgen engine --json as well, for
the engine's side of all rounds together: messages are all that were sent, invocations those of the measured
seconds, latencies those of requests; rss_bytes, max_stop_us and gc_pause_p99_us are the worst round's, keys the
most of any figure; bytes_per_instance is not measured, and 0. Exit code 0: done and verified; 1: failed, or the
counters do not add up; 2: a flag is wrong, and nothing was started.`,
		Example: `  loadgen remote --network unix --connections 64 --json
  loadgen remote --network tcp --server net/http --invocations 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config := f.config()
			if err := config.Validate(); err != nil {
				return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
			}
			if err := errors.Join(f.plot.check(), config.Profiles.Create()); err != nil {
				return err
			}
			config.Log = cmd.ErrOrStderr()
			return runRemote(cmd, config, f)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&f.network, "network", string(remote.Unix), "how the second process is reached: unix or tcp")
	set.StringVar(&f.server, "server", string(remote.FastHTTP), "what the SDK stands behind there: fasthttp or net/http")
	set.BoolVar(&f.inProcess, "in-process", false, "call the SDK in this process instead: no network, no server")
	set.IntVar(&f.connections, "connections", 0, "requests in flight, each on a connection of its own (default: 64; in process, 2 for each CPU)")
	set.IntSliceVar(&f.invocations, "invocations", []int{1, 10, 100, 1000}, "invocations in one request, each measured by itself")
	set.IntVar(&f.keys, "keys", 0, "number of keys (default: as many as suit the invocations in a request)")
	set.IntVar(&f.rounds, "rounds", 5, "rounds, of the bare client and then the engine; figures are medians")
	set.Float64Var(&f.seconds, "seconds", 1, "measured time of each side in each round")
	set.IntVar(&f.shards, "shards", 0, "number of shards (default: one for each CPU)")
	set.BoolVar(&f.json, "json", false, "report as one JSON object on the last line of stdout")
	f.plot.flag(set)
	profileFlags(set, &f.profiles, "the engine's last round")
	return cmd
}

func (f remoteFlags) config() remote.Config {
	c := remote.Config{
		Network: remote.Network(f.network), Server: remote.Server(f.server),
		Connections: f.connections, Invocations: f.invocations, Keys: f.keys, Rounds: f.rounds, Shards: f.shards,
		Each:     time.Duration(f.seconds * float64(time.Second)),
		Profiles: f.profiles,
		Bare:     f.plot.curve("bare client", "invocations"), Millrace: f.plot.curve("Millrace", "invocations"),
		Version: buildVersion(), Commit: buildCommit(),
	}
	if f.inProcess {
		c.Network = remote.InProcess
	}
	return c
}

func runRemote(cmd *cobra.Command, c remote.Config, f remoteFlags) error {
	quietSDK()
	report, err := remote.Run(cmd.Context(), c)
	if err != nil {
		return failure{err}
	}
	title := fmt.Sprintf("%s, %d connections, latency of requests", report.Network, report.Connections)
	if err := f.plot.write(title, c.Bare, c.Millrace); err != nil {
		return failure{err}
	}
	if err := writeReport(cmd, report, f.json); err != nil {
		return err
	}
	if !report.Verified {
		return failure{errors.New("the counters, read back, do not add up to the messages sent")}
	}
	return nil
}

// remoteServerCommand is the second process of loadgen remote.
func remoteServerCommand() *cobra.Command {
	var listen, server string
	cmd := &cobra.Command{
		Use: remote.ServeCommand, Short: "The second process of loadgen remote", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			quietSDK()
			if err := remote.Serve(listen, remote.Server(server), cmd.InOrStdin(), cmd.OutOrStdout()); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "HOST:PORT or unix:PATH")
	cmd.Flags().StringVar(&server, "server", string(remote.FastHTTP), "fasthttp or net/http")
	return cmd
}

// quietSDK silences the SDK, which tells the standard logger of everything that is registered.
func quietSDK() { log.SetOutput(io.Discard) }
