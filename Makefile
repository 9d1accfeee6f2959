# SPDX-License-Identifier: Apache-2.0
#
# Needs Go, git, make and a POSIX shell. Only `make race` needs a C compiler as well.
# What is built and tested is found in the tree, so a new module or command needs no line here.

export CGO_ENABLED := 0

STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0

# Each command is built as its own module alone, so that nobody waits for another one's dependencies. Those for tests
# are not for users.
COMMANDS := $(filter-out tools/crash% tools/bugbank,$(patsubst %/main.go,%,$(wildcard loadgen/cmd/*/main.go tools/*/main.go)))

FUZZTIME ?= 20s
SEEDS    ?= 200
BENCH    ?= .
COUNT    ?= 10
WORKLOAD ?= counter
CYCLES   ?= 20
BACKEND  ?= file

.PHONY: help build demo test lint race fuzz bench bench-compare bench-peers bench-epochs bench-durable bench-overload sim bugbank crash test-sdks profile clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## build        the commands, static, into bin/
build:
	@mkdir -p bin
	@commit=$$(git describe --always --dirty --exclude='*' 2>/dev/null); \
	for dir in $(COMMANDS); do \
		echo "bin/$${dir##*/}"; \
		GOWORK=off go -C $$dir build -trimpath -ldflags="-X main.commit=$$commit" -o $(CURDIR)/bin/ . || exit 1; \
	done

## demo         run examples/greeter and watch it greet; KEEP=1 leaves it up for curl
demo:
	@mkdir -p bin
	@GOWORK=off go -C examples build -o $(CURDIR)/bin/ ./greeter
	@bin/greeter -demo $(if $(KEEP),-keep)

# Not cached: tools/archcheck and tools/release look at the whole tree, and the test cache only at the
# module that a test is in.
## test         the tests of all modules
test:
	go test -count=1 work

## lint         vet, staticcheck, gofumpt
lint:
	go vet work
	$(STATICCHECK) work
	@unformatted=$$($(GOFUMPT) -l .) || exit 1; \
	test -z "$$unformatted" || { echo "not formatted, run gofumpt -w:"; echo "$$unformatted"; exit 1; }

# A package is concurrent when it, or its tests, starts goroutines, shares memory, or opens an engine. The
# simulation is not: it runs everything in one goroutine.
## race         the tests of the concurrent packages under the race detector; needs a C compiler
race:
	@cc=$$(go env CC); command -v $${cc%% *} >/dev/null || \
		{ echo "make race: no C compiler ($$cc); the race detector needs one: install gcc or set CC" >&2; exit 1; }
	CGO_ENABLED=1 go test -count=1 -race $$(grep -rlE --include='*.go' --exclude-dir=testdata --exclude-dir=sim \
		'^[[:space:]]+go [a-zA-Z_]|\.Go\(|"(sync|sync/atomic|.*/xsync/.*|.*/x/sync/.*|.*/millrace/engine)"$$' . | \
		sed 's|/[^/]*$$||' | sort -u)

# A fuzzing engine that is stopped by its time just as a worker reports sometimes says so as a failure, without
# an input that fails.
## fuzz         every fuzz target for FUZZTIME (20s)
fuzz:
	@mkdir -p bin
	@grep -roE --include='*_test.go' --exclude-dir=testdata '^func Fuzz[A-Za-z0-9_]+' . | \
	sed 's|/[^/]*:func | |' | sort | while read -r dir name; do \
		echo "$$dir $$name"; \
		go test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) $$dir >bin/fuzz.log 2>&1; status=$$?; cat bin/fuzz.log; \
		test $$status = 0 || { grep -q '^    context deadline exceeded$$' bin/fuzz.log && ! grep -q 'Failing input' bin/fuzz.log; } || exit 1; \
	done

## bench        the benchmarks, as benchstat reads them; BENCH=regexp COUNT=10
bench:
	@go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) work

# What is compared is what make bench runs of the engine and the codecs.
## bench-compare  the benchmarks of the tree beside those of BASE=rev, interleaved; BENCH=regexp COUNT=10
bench-compare:
	@test -n "$(BASE)" || { echo "make bench-compare: say BASE=rev, the revision to compare with" >&2; exit 2; }
	@go run ./benchmarks/cmd/compare -base '$(BASE)' -bench '$(BENCH)' -count $(COUNT)

# PEERS are its flags: -rounds 1 -scale 0.1 is a short look, -only 'relay/1000$$' one workload. With node and npm
# there, what bench-durable compares follows.
## bench-peers  Millrace beside plain Go, actor frameworks and Restate, interleaved; takes an hour; PEERS='-only …'
bench-peers:
	go run ./benchmarks/cmd/peers $(PEERS)

## bench-epochs what is left of the rate with checkpoints every 100 ms, by backend, interleaved
bench-epochs:
	go run ./benchmarks/cmd/epochs

# Restate is installed with npm, into a temporary folder.
## bench-durable  HTTP request to durable reply, beside Restate, interleaved; needs node and npm
bench-durable:
	go run ./benchmarks/cmd/durable

# OVERLOAD are its flags: -for 10s is a short look, -backend memory:kept another store.
## bench-overload  2 × and 10 × of what an engine can do, over HTTP and in process; takes 11 minutes
bench-overload:
	go run ./benchmarks/cmd/overload $(OVERLOAD)

## sim          simulate SEEDS=n (200) runs of a whole engine with crashes, on all stores, or the one run of SEED=s
sim:
	@mkdir -p bin
	@go test -count=1 -timeout=0 -v -run='^TestSeeds$$' ./tools/sim \
		-args -seeds=$(SEEDS) $(if $(SEED),-seed=$(SEED)) >bin/sim.log 2>&1; status=$$?; \
	test $${status}$(SEED) = 0 || sed '/^sim: /d' bin/sim.log; \
	sed -n '/^sim: /p' bin/sim.log | grep . || { echo "sim: 0 passed, 1 failed"; status=1; }; \
	exit $$status

# Of its kills at least half are within a commit. SWEEP=1 needs Linux, and the right to trace processes.
## crash        kill -9 a bank CYCLES=n (20) times on BACKEND=file|pebble and check it; SWEEP=1: at every system call
crash:
	@mkdir -p bin
	@GOWORK=off go -C tools build -o $(CURDIR)/bin/ ./crash
	@bin/crash -cycles $(CYCLES) -backend $(BACKEND) $(if $(SEED),-seed $(SEED)) $(if $(SWEEP),-sweep)

## bugbank      plant bugs, one after the other: the tests must find each of them
bugbank:
	@go run ./tools/bugbank

# The SDKs run in processes of their own, in the versions that go.mod and package-lock.json say.
SDK_TESTS_go := -skip=/.*JavaScript
SDK_TESTS_js := -run=^TestGreeterRemote$$/.*JavaScript

## test-sdks    the official SDKs against the engine; SDK=go or SDK=js for one
test-sdks:
	@mkdir -p bin
	@MILLRACE_REQUIRE=$${MILLRACE_REQUIRE:-all} go test -count=1 -v '$(or $(SDK_TESTS_$(SDK)),-run=.)' ./protocols/sdktest >bin/sdks.log 2>&1; status=$$?; \
	test $$status = 0 || cat bin/sdks.log; \
	echo "sdks: $$(grep -c '^--- PASS' bin/sdks.log) passed, $$(grep -c '^--- FAIL' bin/sdks.log) failed"; \
	exit $$status

# Only counter and relay have the numbers of keys and messages that are given here; the others have their own.
## profile      where the time and the memory of WORKLOAD=w (counter) go: tables, and flame graphs in bin/
profile: build
	bin/loadgen engine --workload $(WORKLOAD) $(if $(filter counter relay,$(WORKLOAD)),--keys 1000000 --messages 20000000) \
		--cpuprofile bin/$(WORKLOAD).cpu.prof --memprofile bin/$(WORKLOAD).mem.prof
	@go run ./benchmarks/cmd/flame bin/$(WORKLOAD).cpu.prof bin/$(WORKLOAD).cpu.html
	@go run ./benchmarks/cmd/flame -sample_index=alloc_space bin/$(WORKLOAD).mem.prof bin/$(WORKLOAD).mem.html
	go tool pprof -top -nodecount=30 bin/loadgen bin/$(WORKLOAD).cpu.prof
	go tool pprof -top -nodecount=15 -sample_index=alloc_space bin/loadgen bin/$(WORKLOAD).mem.prof

## clean        remove bin/
clean:
	rm -rf bin
