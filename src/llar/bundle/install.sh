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
wheels = manifest["wheels"]
have = "%d.%d" % sys.version_info[:2]
if wheels and have != wheels["python"]:
    sys.exit("error: this bundle is for Python %s, not %s; say which: "
             "PYTHON=/path/to/python sh install.sh" % (wheels["python"], have))
listed = {m["name"]: m for m in manifest["members"]}
found = set()
for root, folders, files in os.walk(here):
    for name in files + [f for f in folders if os.path.islink(os.path.join(root, f))]:
        found.add(os.path.relpath(os.path.join(root, name), here).replace(os.sep, "/"))
found.discard("manifest.json")
for name in sorted(found ^ set(listed)):
    why = "not listed" if name in found else "missing"
    sys.exit("error: %s is %s; unpack the bundle again" % (name, why))
for name, member in listed.items():
    digest = hashlib.sha256()
    with open(os.path.join(here, name), "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != member["sha256"]:
        sys.exit("error: %s was altered or damaged; copy the bundle again" % name)
print("%d files checked" % len(listed))
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
