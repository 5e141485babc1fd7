# What a user or a contributor runs. It needs Rust (1.88 or later), a C compiler, which builds SQLite, make, and for the Python
# package python3 (3.10 or later) with its module venv: tools for it are installed into target/python, pinned, from the package
# registry. `fuzz` installs cargo-fuzz if there is none.

.PHONY: demo serve test lint simulate bench bench-python fuzz generate wheel endurance

# The interpreter for everything in Python: 3.10 or later, with venv.
PYTHON ?= python3

# The quick start, and a trace of requests replayed over many users, with the books verified. They are kept in a folder that
# is gone afterwards.
demo:
	cargo run --package drawdown-examples --example quickstart
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	cargo run --package drawdown-examples --example replay -- --trace examples/data/trace.csv --db "$$folder/demo.db"

# A platform on FastAPI with a console for operators, on a SQLite file in target/platform; it says where, and the tokens.
# The first time, and after changes to the engine, the package is built.
SERVE = target/platform
serve: $(SERVE)/built
	PLATFORM_FOLDER=$${PLATFORM_FOLDER:-$(SERVE)/data} $(SERVE)/venv/bin/python -m platform_service

$(SERVE)/built: $(shell find core/src bindings-python/src bindings-python/python -name '*.rs' -o -name '*.py') \
		bindings-python/pyproject.toml examples/fastapi-platform/pyproject.toml
	$(PYTHON) -m venv $(SERVE)/venv
	$(SERVE)/venv/bin/pip install --quiet './bindings-python[fastapi]' --editable ./examples/fastapi-platform
	touch $@

# Every check, unit test, doc test and crash test, of Rust and then of Python.
test: lint
	cargo test --quiet --workspace --exclude drawdown-python
	PYTHON=$(PYTHON) bindings-python/test.sh test example

# The Python module is checked as it is built, by its own script.
lint:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --quiet --workspace --exclude drawdown-python --all-targets -- -D warnings
	cargo clippy --quiet --package drawdown --no-default-features -- -D warnings
	cargo check --quiet --manifest-path fuzz/Cargo.toml
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --package drawdown
	PYTHON=$(PYTHON) bindings-python/test.sh lint

# Seeds of the simulation, for as long as one likes: several engines over one store, random commands and faults, an auditor.
SEEDS ?= 0..2000
STEPS ?= 300
simulate:
	cargo run --quiet --release --package drawdown-tests --bin simulate -- $(SEEDS) $(STEPS)

bench:
	cargo run --quiet --release --package drawdown-benches
	$(MAKE) --no-print-directory bench-python

# The Python package, built for release into an environment of its own. `BENCH_PYTHON_ARGS="http --seconds 10"` is one part, for
# longer.
BENCH_VENV = target/bench-venv

bench-python:
	cargo build --quiet --release --package drawdown-benches
	test -d $(BENCH_VENV) || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --requirement benches/python/requirements.txt
	rm -rf target/bench-wheel
	$(BENCH_VENV)/bin/maturin build --quiet --release --manifest-path bindings-python/Cargo.toml --out target/bench-wheel
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps target/bench-wheel/*.whl
	$(BENCH_VENV)/bin/python benches/python $(BENCH_PYTHON_ARGS)

# A minute of random input for each target; only the first run compiles. See fuzz/README.md.
FUZZ_TARGETS = amount command commands ids policy prices recording statement
FUZZ_SECONDS = 60

fuzz:
	cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --version '^0.13' cargo-fuzz
	cargo fuzz build --sanitizer none
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/corpus/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1; \
	done

# Rewrites the files that are generated from the core.
generate:
	cargo run --quiet --package drawdown-tests --bin generate
	$(PYTHON) bindings-python/generate.py

# One wheel for every Python from 3.10 on, in target/wheels, tried in a clean environment of each of PYTHONS.
PYTHONS ?= python3
wheel:
	PYTHONS="$(PYTHONS)" bindings-python/test.sh wheel

# What the tests do a little of, for some minutes: interpreters that end at random moments, forks, workers over one file.
endurance: wheel
	PYTHONS="$(PYTHONS)" bindings-python/test.sh endurance
