#!/bin/sh
# Puts onnxruntime, by which the tests in tests/networks/onnx.rs compute exported networks, into a virtual environment of Python in the
# target folder. Where it is there it does nothing and says nothing. Without Python, or if it cannot be had, it says so, and that is all:
# those tests are skipped then, and say so too.
#
# usage: setup-onnx.sh
set -eu

. "$(dirname "$0")/optional.sh"

folder=${CARGO_TARGET_DIR:-target}/onnxruntime
if "$folder/bin/python" -c 'import numpy, onnxruntime' 2>/dev/null; then
    exit 0
fi
rm -rf "$folder"
# Debian has what makes an environment in a package of its own.
make_environment() {
    python3 -m venv "$folder"
}
if ! make_environment 2>/dev/null && command -v apt-get >/dev/null 2>&1; then
    { apt_install python3-venv && make_environment; } || true
fi
if ! "$folder/bin/pip" install --quiet 'onnxruntime>=1.20,<2' numpy; then
    rm -rf "$folder"
    say 'skipped: onnxruntime cannot be installed; with Python and pip: pip install onnxruntime'
fi
