#!/bin/sh
# Makes this bundle a working llar, without any network:  sh install.sh
#
#   LLAR_HOME   where models, collections and settings go      (default ~/.llar)
#   LLAR_VENV   where the Python environment is made           (default $LLAR_HOME/venv)
#   PYTHON      the Python to make it with                     (default python3)
#
# Options, such as --replace, are handed to `llar bundle install`. It may be run again: what is
# there and the same is left as it is.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
LLAR_HOME=${LLAR_HOME:-$HOME/.llar}
venv=${LLAR_VENV:-$LLAR_HOME/venv}
python=${PYTHON:-python3}
export LLAR_HOME

command -v "$python" >/dev/null || {
    echo "error: there is no $python; install Python, or say which: PYTHON=... sh install.sh" >&2
    exit 1
}

# Every byte, before anything of it runs.
"$python" -I - "$here" <<'PY'
import hashlib, json, os, sys

here = sys.argv[1]
with open(os.path.join(here, "manifest.json"), encoding="utf-8") as stream:
    manifest = json.load(stream)
listed = {m["name"]: m for m in manifest["members"]}
found = set()
for root, folders, files in os.walk(here):
    for name in files + [f for f in folders if os.path.islink(os.path.join(root, f))]:
        found.add(os.path.relpath(os.path.join(root, name), here).replace(os.sep, "/"))
found.discard("manifest.json")
for name in sorted(found ^ set(listed)):
    sys.exit(f"error: {name} is {'not listed' if name in found else 'missing'}; unpack it again")
for name, member in listed.items():
    with open(os.path.join(here, name), "rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != member["sha256"]:
            sys.exit(f"error: {name} was altered or damaged; copy and unpack the bundle again")
wheels = manifest["wheels"]
if wheels:
    have = "%d.%d" % sys.version_info[:2]
    if have != wheels["python"]:
        sys.exit(f"error: this bundle is for Python {wheels['python']}, not {have}; "
                 "say which: PYTHON=/path/to/python sh install.sh")
print(f"{len(listed)} files checked")
PY

if [ -d "$here/wheels" ]; then
    [ -x "$venv/bin/python" ] || "$python" -m venv --without-pip "$venv"
    pip=$(echo "$here"/wheels/pip-*.whl)
    "$venv/bin/python" "$pip/pip" --isolated --disable-pip-version-check --quiet install \
        --no-index --no-deps --force-reinstall "$here"/wheels/*.whl
    "$venv/bin/python" -m pip --isolated --disable-pip-version-check --quiet check
    llar=$venv/bin/llar
else
    llar=$(command -v llar) || {
        echo "error: this bundle holds no wheels, and there is no llar on this machine" >&2
        exit 1
    }
fi

"$llar" bundle install "$here" "$@"
echo "ready:  export LLAR_HOME='$LLAR_HOME'; '$llar' ask \"...\""
