#!/bin/sh
# Make a virtual environment and bring it up to the requirements: install.sh VENV FILE...
# Does nothing when a note in it says that these very files were installed.
set -u
venv=$1
shift

here=$(dirname "$0")
if [ -x "$venv/bin/python" ] && "$venv/bin/python" "$here/install.py" --check "$venv" "$@" 2>/dev/null; then
    exit 0
fi

good() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=""
for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python3.14 python; do
    if good "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3 at all")
    {
        echo
        echo "Preferendum needs Python 3.11 or newer; found: $found."
        echo "Nothing was installed. Install a newer Python (Debian, Ubuntu: apt install python3.11"
        echo "python3.11-venv; macOS: brew install python@3.12), or name one: make run PYTHON=/path/to/python3.11"
        echo
    } >&2
    exit 1
fi
exec "$python" "$here/install.py" "$venv" "$@"
