#!/bin/sh
# Creates or brings up to date the project's own environment, from requirements.lock.
#
#   sh infra/env.sh PYTHON FOLDER
#
# Nothing is resolved, so it takes what the downloads take: torch first, together with what its build for this machine
# needs at run time (on Linux the registry's build needs CUDA packages that a CPU build does not, so the lock cannot name
# them), then every other package as the lock pins it.
set -eu
python=$1
folder=$2

"$python" - <<'PY' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}. "
             "Name another: make PYTHON=/path/to/python3.11 ...")
PY

if [ ! -x "$folder/bin/python" ]; then
    echo "Creating $folder ..."
    # Some systems ship Python without ensurepip; then the caller's own pip installs into the environment.
    "$python" -m venv "$folder" >/dev/null 2>&1 || "$python" -m venv --without-pip --clear "$folder"
fi
if "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    pip() { "$folder/bin/python" -m pip --disable-pip-version-check "$@"; }
else
    pip() { "$python" -m pip --disable-pip-version-check --python "$folder/bin/python" "$@"; }
fi

echo "Installing what requirements.lock pins (a few minutes the first time) ..."
# -qq: errors only; a warning a package about the user's pip settings would bury what follows.
pip install -qq --constraint requirements.lock "$(grep '^torch==' requirements.lock)"
pip install -qq --no-deps --requirement requirements.lock
# A build of this checkout may have left its own record of the extras here, which would be read instead of the new one.
rm -rf touchstone_rlaif.egg-info
pip install -qq --no-deps --no-build-isolation --editable .
