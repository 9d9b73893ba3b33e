#!/bin/sh
# usage: .ci/venv.sh FOLDER [PYTHON]
# Makes a virtual environment with the first Python that Lucid runs on, or says in a sentence what is missing.
set -eu

folder=$1
given=${2:-}
system=$(uname -s)

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

complete() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

python=
incomplete=
for candidate in ${given:-python3 python3.13 python3.12 python3.11 python3.10 python3.14}; do
    if new_enough "$candidate"; then
        if complete "$candidate"; then
            python=$candidate
            break
        fi
        incomplete=${incomplete:-$candidate}
    fi
done

if [ -z "$python" ] && [ -n "$incomplete" ]; then
    echo "$incomplete cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
fi
if [ -z "$python" ]; then
    echo "Lucid needs Python 3.10 or newer, and there is none here${given:+ under the name $given}." >&2
    if [ "$system" = Darwin ]; then
        echo "Install one, for example with: brew install python@3.12" >&2
    fi
    echo "One that is not on the PATH can be named: make PYTHON=/path/to/python3" >&2
    exit 1
fi
if [ "$system" = Darwin ] && [ "$("$python" -c 'import platform; print(platform.machine())')" != arm64 ]; then
    echo "Lucid needs an Apple-silicon Python; $python is an Intel one (on an M-series Mac it runs under Rosetta)." >&2
    echo "A native one can be named: make PYTHON=/opt/homebrew/bin/python3" >&2
    exit 1
fi

# A half-made environment would look finished the next time.
trap 'rm -rf "$folder"' EXIT INT TERM
"$python" -m venv "$folder"
# The pip that came with the first releases of Python 3.10 knows no editable install from pyproject.toml alone.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=21.3'
trap - EXIT INT TERM
