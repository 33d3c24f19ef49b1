#!/usr/bin/env bash
# Build a free-threaded CPython from Debian's source, and run there what threads share.
#
#   tests/free_threaded/run.sh [FOLDER]     default: build/free-threaded; the interpreter is kept there
#
# Needs a Debian machine with gcc, make, and the headers of OpenSSL, zlib and libffi; about 8 minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
SERIES=3.13
SUITES="trixie forky"
folder=$(mkdir -p "${1:-build/free-threaded}" && cd "${1:-build/free-threaded}" && pwd)
python=$folder/python/bin/python${SERIES}t

fetch() { # the newest source that the machine's own mirror has
    local mirror suite
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | head -1)
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    for suite in $SUITES; do
        echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    done >"$folder/apt/sources.list"
    apt() { apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$folder/apt/lists" -o Dir::Cache="$folder/apt" "$@"; }
    apt update
    for suite in $SUITES; do
        (cd "$folder" && apt source --download-only "python$SERIES/$suite") && return 0
    done
    return 1
}

if [ ! -x "$python" ]; then
    ls "$folder"/python${SERIES}_*.orig.tar.xz >/dev/null 2>&1 || fetch
    rm -rf "$folder/source" && mkdir "$folder/source"
    tar xf "$(ls -v "$folder"/python${SERIES}_*.orig.tar.xz | tail -1)" -C "$folder/source" --strip-components 1
    (cd "$folder/source" && ./configure --quiet --disable-gil --prefix="$folder/python" && make -s -j"$(nproc)" &&
        make -s install) >"$folder/build.log" 2>&1 || { tail -20 "$folder/build.log"; exit 1; }
fi
if [ ! -x "$folder/venv/bin/pytest" ]; then
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --only-binary :all: numpy pytest setuptools
fi
"$folder/venv/bin/python" -m pip install --quiet --no-build-isolation --no-deps --force-reinstall ./kernel
"$folder/venv/bin/python" -c '
import sys, segserve_kernel
assert not sys._is_gil_enabled(), "the kernel has brought the lock back"
print(sys.version, "- without a lock")'
# The rest of segserve cannot be installed there: orjson, among others, has nothing for it.
"$folder/venv/bin/python" -m pytest -c /dev/null --rootdir . --import-mode=importlib -p no:cacheprovider \
    --noconftest -p tests.free_threaded.kernel -q tests/kernel/test_threads.py tests/serving/test_admission_threads.py
