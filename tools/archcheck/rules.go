// SPDX-License-Identifier: Apache-2.0

package archcheck

// A rule says which packages of ours a package may import. Paths are relative to the repository; a
// path that ends in "/..." stands for the package and all below it. The first rule whose From matches
// binds; a package that no rule knows is a problem, so that a new folder is thought about.
//
// Outside of engine, packages of one module may import each other. Go itself keeps other modules out of
// engine/internal.
type rule struct {
	from  string
	may   []string
	tests []string // What _test.go files may import in addition.
	alone bool     // It may not even import packages of its own module.
	why   string
}

var (
	ports = []string{"engine/statefun", "engine/backend", "engine/connector", "engine/remote"}

	// What every internal package may stand on.
	ground = join(ports, "engine/internal/clock", "engine/internal/invariant", "engine/internal/planted")

	kits = []string{
		"engine/backendtest", "engine/connectortest", "engine/remotetest", "engine/enginetest/...",
	}

	public = join(ports, "engine/kind", "engine", "engine/inspect", "backends/...", "connectors/...", "protocols/...")
)

var rules = []rule{
	{
		from: "engine/statefun",
		why:  "the vocabulary that everything else imports",
	},
	{
		from: "engine/backend", may: []string{"engine/statefun"},
		why: "a port: stores in other modules see this and nothing behind it",
	},
	{
		from: "engine/connector", may: []string{"engine/statefun"},
		why: "a port: connectors in other modules see this and nothing behind it",
	},
	{
		from: "engine/remote", may: []string{"engine/statefun"},
		why: "a port: protocols in other modules see this and nothing behind it",
	},
	{
		from: "engine/kind", may: []string{"engine/statefun", "engine/connector", "engine/remote"},
		why: "a port: what a module file sets up, without the engine that runs it and without YAML",
	},
	{
		from: "engine/backendtest", may: []string{"engine/statefun", "engine/backend"},
		why: "a store is tested against the port, not against one engine's use of it",
	},
	{
		from: "engine/connectortest", may: []string{"engine/statefun", "engine/connector"},
		why: "a connector is tested against the port, not against one engine's use of it",
	},
	{
		from: "engine/remotetest", may: []string{"engine/statefun", "engine/remote"},
		why: "a protocol is tested against the port, not against one engine's use of it",
	},
	{
		from: "engine/internal/invariant",
		why:  "the bottom: everything may check its invariants",
	},
	{
		from: "engine/internal/planted",
		why:  "the bottom: what could go wrong anywhere is named here",
	},
	{
		from: "engine/internal/clock", may: []string{"engine/internal/invariant"},
		why: "the bottom: everything may know what an instant is",
	},
	{
		from: "engine/internal/envelope", may: ground,
		why: "what moves between shards knows neither shards nor mailboxes",
	},
	{
		from: "engine/internal/timerwheel", may: ground,
		why: "a data structure, tested against a sorted slice, without a shard around it",
	},
	{
		from: "engine/internal/prefetch",
		why:  "the bottom: an instruction",
	},
	{
		from: "engine/internal/table", may: join(ground, "engine/internal/envelope"),
		why: "a data structure, tested against a map, without a shard around it",
	},
	{
		from: "engine/internal/checkpoint", may: join(ground, "engine/internal/envelope"),
		why: "cuts and manifests are data; who cuts and who commits is decided above",
	},
	{
		from: "engine/internal/mailbox", may: join(ground, "engine/internal/envelope"),
		why: "moves batches, whoever the sender and the receiver are",
	},
	{
		from: "engine/internal/shard",
		may: join(ground, "engine/internal/envelope", "engine/internal/timerwheel", "engine/internal/table",
			"engine/internal/checkpoint", "engine/internal/prefetch"),
		why: "pure: goroutines, mailboxes and input/output are the driver's",
	},
	{
		from: "engine/internal/...", may: join(ports, "engine/internal/..."), tests: kits,
		why: "the engine is built from these, so none of them can need it",
	},
	{
		from: "engine", may: join(ports, "engine/internal/..."), tests: kits,
		why: "a user who imports the engine gets no store, connector or protocol that was not asked for",
	},
	{
		from: "engine/inspect", may: []string{"engine/statefun", "engine/backend", "engine/internal/checkpoint", "engine/internal/envelope"},
		tests: join(kits, "engine/internal/clock"),
		why:   "reads what a store holds, by the codecs that wrote it, with no engine around it",
	},
	{
		from: "engine/enginetest/...", may: join(kits, "engine/...", "engine"),
		why: "the user's test kit and the simulation run the packages that ship",
	},
	{
		from: "backends/logstore/storetest",
		may:  []string{"engine/statefun", "engine/backend", "engine/backendtest", "backends/logstore/..."},
		why:  "a test kit: what the stores of a local disk must survive",
	},
	{
		from: "backends/logstore/...", may: []string{"engine/statefun", "engine/backend"},
		tests: []string{"engine/backendtest"},
		why:   "what the stores of a local disk have in common: it knows the port, and none of them",
	},
	{
		from: "backends/...", may: []string{"engine/statefun", "engine/backend", "backends/logstore/..."},
		tests: []string{"engine/backendtest", "engine/enginetest/..."},
		why:   "a store knows the port, the log in front and its own driver: not the engine, not another store",
	},
	{
		from: "connectors/prometheus", may: []string{"engine/statefun", "engine/remote", "engine"},
		why: "shows an engine's counters: they are the engine's, and no port has them",
	},
	{
		from: "connectors/...", may: []string{"engine/statefun", "engine/connector", "engine/kind"},
		tests: []string{"engine", "engine/connectortest", "engine/enginetest/..."},
		why:   "a connector knows the port and its own driver; its tests may run a real engine",
	},
	{
		from: "protocols/sdktest", tests: public,
		why: "no code, only tests of a whole engine with the official SDKs, in a module that nobody imports",
	},
	{
		from: "protocols/...", may: []string{"engine/statefun", "engine/remote", "engine/kind"},
		tests: []string{"engine", "engine/remotetest", "engine/enginetest/..."},
		why:   "a protocol knows the port and its own driver; its tests may run a real engine",
	},
	{
		from: "loadgen/...", may: public,
		why: "measures from outside, through what users have; a program, which nobody imports",
	},
	{
		from: "benchmarks/...", may: join(public, "loadgen/keys"),
		why: "measures from outside; of loadgen only the keys, so that peers are given the same ones",
	},
	{
		from: "examples/...", may: public, tests: kits,
		why: "shows what a user can write with what users have",
	},
	{
		from: "tools/crashverify", alone: true,
		why: "judges what the engine has left behind: what it shared with the engine, it would be wrong about together with it",
	},
	{
		from: "tools/...", may: public, tests: kits,
		why: "wires everything together; a set of programs, which nobody imports",
	},
}

// A dependency is a package of others that module engine may import. Every one of them becomes a
// dependency of each application, so the list is closed; other modules exist to have their own.
type dependency struct {
	path  string // The package and all below it.
	tests bool   // Only in _test.go files and in the test kits.
	why   string
}

var dependencies = []dependency{
	{path: "github.com/puzpuzpuz/xsync/v3", why: "the bounded multi-producer queue and the striped counters"},
	{path: "golang.org/x/sync", why: "errgroup: start and stop a group of goroutines with one error"},
	{path: "pgregory.net/rapid", tests: true, why: "property tests with shrinking"},
}

// pure lists the packages that must be a function of their input, so that one seed replays them.
var pure = []string{
	"engine/internal/envelope", "engine/internal/timerwheel", "engine/internal/table",
	"engine/internal/shard", "engine/internal/checkpoint",
}

// forbidden holds what pure packages may not import, and why.
var forbidden = map[string]string{
	"context":     "cancellation comes from other goroutines; the driver turns it into an event",
	"log":         "what is worth telling is an effect, carried out by the driver",
	"log/slog":    "what is worth telling is an effect, carried out by the driver",
	"maps":        "its iterators follow the random order of maps",
	"math/rand":   "randomness is injected as a *rand.Rand of math/rand/v2",
	"net":         "input and output are the driver's",
	"os":          "input and output are the driver's",
	"runtime":     "nothing may depend on scheduling or on the garbage collector",
	"sync":        "one goroutine owns everything here",
	"sync/atomic": "one goroutine owns everything here",
	"time":        "time is an argument: clock.Instant",
}

// only holds, for packages of which pure ones may use a part, that part.
var only = map[string]struct {
	names []string
	why   string
}{
	"fmt":          {[]string{"Errorf", "Sprintf", "Sprint", "Append", "Appendf", "Stringer"}, "it builds text and errors, and prints nothing"},
	"math/rand/v2": {[]string{"Rand", "Source"}, "the generator is injected, top-level functions are not seeded"},
	module("engine/internal/clock"): {
		[]string{"Instant"}, "the clock is read by the driver, time is an argument",
	},
}

func join(list []string, more ...string) []string {
	return append(append([]string(nil), list...), more...)
}
