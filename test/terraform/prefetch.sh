#!/usr/bin/env bash
# Makes .cache/terraform/venv with moto, from moto/requirements.txt, unless it was made from the same file. Moto's extras,
# three times its size, are left out: the parts that the provider talks to need none of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
wanted=test/terraform/moto/requirements.txt
venv=.cache/terraform/venv
mkdir -p .cache/terraform
exec 9>.cache/terraform/lock
flock 9
if ! cmp -s "$wanted" "$venv/made-from"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --cache-dir .cache/terraform/pip -r "$wanted"
  cp "$wanted" "$venv/made-from"
fi
