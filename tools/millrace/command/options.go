// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// options are the settings of the command: flags, variables of the environment and keys of the config file.
type options struct {
	modules       []string
	admin         string
	tokenFile     string
	backend       string
	shards        int
	epochInterval interval
	memoryLimit   size
	application   string
	strict        bool
	logFormat     string
	drainTimeout  time.Duration
}

// flags returns all settings as flags.
func (o *options) flags() *pflag.FlagSet {
	o.epochInterval = interval(100 * time.Millisecond)
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	set.StringArrayVarP(&o.modules, "module", "m", nil, "a module `file`; may be given several times")
	set.StringVar(&o.admin, "admin", "127.0.0.1:8081", "`address` for operators: host:port or unix:/path")
	set.StringVar(&o.tokenFile, "admin-token-file", "", "`file` whose one line the admin address asks for; needed unless that is on this machine alone")
	set.StringVar(&o.backend, "backend", "memory", "`where` checkpoints go: memory, which nothing survives, memory:kept, where the newest can be inspected, file:///directory or pebble:///directory")
	set.IntVar(&o.shards, "shards", 0, "`number` of goroutines that run functions; 0: one for each CPU")
	set.Var(&o.epochInterval, "epoch-interval", "how often a checkpoint is taken, or off")
	set.Var(&o.memoryLimit, "memory-limit", "soft limit of the Go heap, such as 4GiB; an eighth of it may be queued messages")
	set.StringVar(&o.application, "app", "app", "`name` of the application, in checkpoints and idempotency keys")
	set.BoolVar(&o.strict, "strict", false, "make errors of warnings about module files")
	set.StringVar(&o.logFormat, "log-format", "text", "`format` of the log: text or json")
	set.DurationVar(&o.drainTimeout, "drain-timeout", 30*time.Second, "how long the end may take after SIGTERM")
	return set
}

// pick adds the named settings to a command's flags.
func (o *options) pick(set *pflag.FlagSet, names ...string) {
	o.flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(names, f.Name) {
			set.AddFlag(f)
		}
	})
}

// shardsMost is the engine's bound of Config.Shards.
const shardsMost = 1024

// config is what the options say of the engine and of its store, or everything that is wrong with them.
func (o *options) config() (engine.Config, store.Location, error) {
	shards := o.shards
	if shards < 0 || shards > shardsMost {
		shards = 0 // Told below, by the name of the setting.
	}
	groups := store.KeyGroups(shards) // Not of the machine: a store may move to another.
	c := engine.Config{
		Application: o.application, Shards: cmp.Or(shards, min(runtime.GOMAXPROCS(0), groups)), KeyGroups: groups,
		EpochInterval: time.Duration(o.epochInterval),
	}
	var errs []error
	want := func(ok bool, flag string, value any, accepted string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %q, want %s", flag, fmt.Sprint(value), accepted))
		}
	}
	want(len(o.modules) > 0, "module", "", "at least one module file")
	want(!slices.Contains(o.modules, ""), "module", "", "the name of a file")
	want(o.application != "", "app", o.application, "a name")
	want(o.logFormat == "text" || o.logFormat == "json", "log-format", o.logFormat, "text or json")
	want(shards == o.shards, "shards", o.shards, fmt.Sprintf("0 to %d", shardsMost))
	want(o.drainTimeout > 0, "drain-timeout", o.drainTimeout, "more than 0s")
	want(o.memoryLimit == 0 || o.memoryLimit >= memoryLimitMin, "memory-limit", o.memoryLimit.String(), "at least 64MiB")
	location, err := store.Parse(o.backend)
	if err != nil {
		errs = append(errs, fmt.Errorf("backend: %w", err))
	}
	if !location.IsMemory() {
		want(time.Duration(o.epochInterval) != engine.EpochsOff, "epoch-interval", "off", "a time: a store without checkpoints keeps nothing")
		want(shards <= store.KeyGroups(0), "shards", shards, fmt.Sprintf("at most %d with a store: ids are placed in so many key groups, for good", store.KeyGroups(0)))
	}
	return c, location, oneLine(errors.Join(append(errs, c.Validate())...))
}

// oneLine is err with all that it joins in one line.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// limitMemory sets the limit of the Go heap and returns how many bytes may be queued: an eighth of the
// limit, because the rest of the heap has to hold what becomes of them, but not less than two of the largest
// messages need, nor more than any engine gets through in a second. Instances of embedded functions lie
// outside the heap. Without a limit the engine's default stands.
func (o *options) limitMemory() int64 {
	if o.memoryLimit > 0 {
		debug.SetMemoryLimit(int64(o.memoryLimit))
	}
	limit := debug.SetMemoryLimit(-1) // Only asks. GOMEMLIMIT may have set it.
	if limit == math.MaxInt64 {
		return 0
	}
	return min(max(limit/8, queuedMin), queuedMost)
}

const (
	memoryLimitMin = 64 << 20
	queuedMin      = 16 << 20
	queuedMost     = 1 << 30
)

// logger returns the log that goes to w. Both formats quote what comes from outside: no id begins a line,
// or moves a cursor. Durations are the same text in both, such as 1.5s, where JSON would have nanoseconds.
func (o *options) logger(w io.Writer) *slog.Logger {
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}}))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
