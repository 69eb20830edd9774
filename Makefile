# The three commands of the house. `make help` lists them.
#
#   make run     build the release binary, start it with examples/narthex.yml
#   make test    format, lints, docs, all tests; the same as CI
#   make bench   the micro-benchmarks, each with a checksum
#   make fuzz [FUZZ_SECONDS=300] [TARGETS="chunk wal_segment"]    every fuzz target in turn; needs a C++ compiler
#   make soak [SOAK_MINUTES=10 SOAK_SEED=7]    kills, outages, reloads; no sample of remote write may be lost
#   make bench-peers SCENARIO=ingest-scrape    beside real Prometheus in the same run (needs $(SHARED))

CARGO ?= cargo
SHARED ?= ../shared
# Where the real programs are that some tests compare with; brought by $(SHARED)/tools/get-peers.sh.
export NARTHEX_SHARED := $(abspath $(SHARED))

BENCHES = exposition:parse scrape:ingest wal:wal tsdb:head promql:parse promql:engine template:expand web:answer remote:catch_up remote:receive profile:allocator

.PHONY: help run build test fmt lint doc unit peers bench fuzz soak bench-peers clean

help:
	@sed -n 's/^#   //p' Makefile

# What `narthex --version` and /api/v1/status/buildinfo say about the source.
build: export NARTHEX_REVISION = $(shell git rev-parse HEAD 2>/dev/null)
build: export NARTHEX_BRANCH = $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
build:
	$(CARGO) build --release --locked -p narthex

run: build
	@mkdir -p data
	@echo "Narthex starts: open http://localhost:9090/ (stop with Ctrl-C; samples are kept in ./data)"
	exec $${CARGO_TARGET_DIR:-target}/release/narthex --config.file=examples/narthex.yml --storage.tsdb.path=data

test: fmt lint doc peers unit

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet

# The suites that compare with real Prometheus say loudly when it is absent, and fail without it in CI.
peers:
	@if [ -f "$(SHARED)/tools/get-peers.sh" ]; then \
	  sh "$(SHARED)/tools/get-peers.sh" || echo "WARNING: the real peers could not be brought; suites that need them will say so"; \
	else echo "WARNING: $(SHARED) is absent; suites that need its data or real peers will say so"; fi

unit:
	$(CARGO) test --locked --workspace --no-fail-fast

bench:
	@set -e; for b in $(BENCHES); do $(CARGO) bench --locked -p narthex-$${b%%:*} --bench $${b##*:}; done

FUZZ_SECONDS ?= 300
fuzz:
	fuzz/run.sh $(FUZZ_SECONDS) $(TARGETS)

# The long form of suites that run in a short one with all tests. One receiver after the other.
SOAK_MINUTES ?= 10
soak: export SOAK_MINUTES := $(SOAK_MINUTES)
soak: build peers
	PEERS_BIN="$${PEERS_BIN:-$$(sh $(SHARED)/tools/get-peers.sh | tail -n 1)}" \
	  NARTHEX_BIN="$$(realpath $${CARGO_TARGET_DIR:-target}/release/narthex)" \
	  $(CARGO) test --locked -p narthex --test loss -- --nocapture --test-threads=1

SCENARIO ?= ingest-scrape
bench-peers: build peers
	PEERS="$$(sh $(SHARED)/tools/get-peers.sh | tail -n 1)" python3 $(SHARED)/tools/bench/bench.py $(SCENARIO) \
	  --cache $${CARGO_TARGET_DIR:-target}/bench-cache --results $${CARGO_TARGET_DIR:-target}/bench-results.jsonl \
	  --subject prometheus=prometheus:@prometheus \
	  --subject narthex=prometheus:$${CARGO_TARGET_DIR:-target}/release/narthex $(BENCH_FLAGS)

clean:
	$(CARGO) clean
