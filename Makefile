# What a user or a contributor runs. Nothing here needs more than a Rust toolchain.

.PHONY: demo test lint simulate bench generate

# The quick start, and a trace of requests replayed over many users, with the books verified.
demo:
	cargo run --quiet --package drawdown-examples --example quickstart
	rm -f target/demo.db target/demo.db-wal target/demo.db-shm
	cargo run --quiet --package drawdown-examples --example replay -- --trace examples/data/trace.csv --db target/demo.db

# Every check, unit test, doc test and crash test.
test: lint
	cargo test --quiet --workspace

lint:
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo clippy --quiet --package drawdown --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --package drawdown

# Seeds of the simulation, for as long as one likes: several engines over one store, random commands and faults, an auditor.
SEEDS ?= 0..2000
STEPS ?= 300
simulate:
	cargo run --quiet --release --package drawdown-tests --bin simulate -- $(SEEDS) $(STEPS)

bench:
	cargo run --quiet --release --package drawdown-benches

# Rewrites the files that are generated from the core.
generate:
	cargo run --quiet --package drawdown-tests --bin generate
