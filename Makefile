# What a user or a contributor runs. It needs Rust (1.88 or later), a C compiler, which builds SQLite, and make.

.PHONY: demo test lint bench generate

# The quick start, and a trace of requests replayed over many users, with the books verified. They are kept in a folder that
# is gone afterwards.
demo:
	cargo run --package drawdown-examples --example quickstart
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	cargo run --package drawdown-examples --example replay -- --trace examples/data/trace.csv --db "$$folder/demo.db"

# Every check, unit test, doc test and crash test.
test: lint
	cargo test --quiet --workspace

lint:
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo clippy --quiet --package drawdown --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --package drawdown

bench:
	cargo run --quiet --release --package drawdown-benches

# Rewrites the files that are generated from the core.
generate:
	cargo run --quiet --package drawdown-tests --bin generate
