#!/usr/bin/env bash
# The checks of the Python package: `test.sh lint`, `test.sh test`, `test.sh example`, `test.sh wheel`, `test.sh endurance`; lint and
# test if none is named. They need Python 3.10 or later with its module `venv`; what else they need is installed into target/python, pinned, as
# requirements-dev.txt says. PYTHON chooses the interpreter; PYTHONS those that the wheel is tried with.
set -euo pipefail
cd "$(dirname "$0")"

PYTHON=${PYTHON:-python3}
STEPS=("$@")
if [ ${#STEPS[@]} -eq 0 ]; then STEPS=(lint test); fi
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-../target}")
VERSION=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export VIRTUAL_ENV="$TARGET/python/$VERSION"
export PATH="$VIRTUAL_ENV/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1

step() {
    echo "python: $*"
    "$@"
}

# Shows what something says only if it fails.
quietly() {
    local log="$TARGET/python/log"
    "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# The tools, once for each version of their list.
prepare() {
    local stamp="$VIRTUAL_ENV/requirements-dev.txt"
    if cmp -s requirements-dev.txt "$stamp"; then return; fi
    "$PYTHON" -m venv "$VIRTUAL_ENV"
    python -m pip install --quiet --requirement requirements-dev.txt
    cp requirements-dev.txt "$stamp"
}

# The native module, built like the rest of the workspace, and the package as it stands here.
build() {
    quietly maturin develop --quiet
}

lint() {
    python generate.py --check
    ruff format --quiet --check .
    ruff check --quiet .
    mypy python tests examples generate.py
    # As maturin says it, so that neither of the two makes the other build anew.
    local config
    config=$(ls -t "$TARGET"/maturin/pyo3-config-*.txt | head -n 1)
    PYO3_BUILD_EXTENSION_MODULE=1 PYO3_CONFIG_FILE=$config cargo clippy --quiet --package drawdown-python -- -D warnings
    check_free_threaded
}

# Whether it compiles for an interpreter without the global lock, whether or not there is one: with a description of it in its place.
check_free_threaded() {
    local config="$TARGET/python/free-threaded.txt"
    printf '%s\n' implementation=CPython version=3.14 shared=true abi3=false lib_name=python3.14t pointer_width=64 \
        build_flags=Py_GIL_DISABLED suppress_build_script_link_lines=true >"$config"
    PYO3_CONFIG_FILE=$config cargo check --quiet --package drawdown-python --target-dir "$TARGET/python/free-threaded"
}

run_tests() {
    local allowed="$PWD/stubtest-allowed.txt"
    (cd "$TARGET/python" && python -m mypy.stubtest --concise --allowlist "$allowed" drawdown)
    python -m pytest --quiet
}

# The service that shows the package in use, with its page in a browser: its own checks, in its own folder.
example() (
    cd ../examples/fastapi-platform
    ruff format --quiet --check .
    ruff check --quiet .
    mypy platform_service tests
    python -m pytest --quiet
)

# One wheel for all versions, tried where nothing else is: the example of the page prints what the page shows.
wheel() {
    rm -rf "$TARGET/wheels"
    quietly maturin build --release --quiet --out "$TARGET/wheels"
    local clean printed expected wheel
    wheel=$(ls "$TARGET"/wheels/drawdown-*-cp310-abi3-*.whl)
    expected=$(sed -n '/^```text$/,/^```$/p' README.md | sed '1d;$d')
    for interpreter in ${PYTHONS:-$PYTHON}; do
        clean=$(mktemp -d)
        "$interpreter" -m venv "$clean/venv"
        "$clean/venv/bin/pip" install --quiet --no-index "$wheel"
        printed=$(cp examples/quickstart.py "$clean" && cd "$clean" && venv/bin/python -I quickstart.py)
        rm -rf "$clean"
        if [ "$printed" != "$expected" ]; then
            echo "$interpreter printed another text:"$'\n'"$printed" >&2
            return 1
        fi
        echo "python: $("$interpreter" --version) runs $(basename "$wheel")"
    done
}

endurance() {
    ENDURANCE=1 python -m pytest --quiet --capture=no tests/endurance
}

step prepare
step build
for named in "${STEPS[@]}"; do
    case "$named" in
        lint) step lint ;;
        test) step run_tests ;;
        example) step example ;;
        wheel) step wheel ;;
        endurance) step endurance ;;
        *) echo "$0: there is no \`$named\`" >&2; exit 2 ;;
    esac
done
