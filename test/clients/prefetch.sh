#!/usr/bin/env bash
# Fetches and builds what the client tests need: for each language the libraries of examples/ and of the probes here.
# Downloads are kept in .cache/clients; what is there and was made from the same files is not made again.
#
#   test/clients/prefetch.sh              everything
#   test/clients/prefetch.sh java go      some of: java python python-old node go kcat tools cleaner kafka
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$root/.cache/clients
mkdir -p "$cache/bin"

need() {
	for program in "$@"; do
		command -v "$program" >/dev/null || {
			echo "$program is not in PATH: type \`make deps\`" >&2
			exit 1
		}
	done
}

# once NAME FILES... : true when NAME was not made yet from FILES as they are now, which `made` then notes.
once() {
	stamp=$cache/$1.stamp
	shift
	digest=$(find "$@" -type f -not -path '*/target/*' -not -path '*/node_modules/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
	[ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$digest" ]
}

made() { echo "$digest" >"$stamp"; }

java() {
	need java mvn
	local project
	for project in examples/java test/clients/java; do
		if once "${project//\//-}" "$root/$project" || [ ! -d "$root/$project/target/lib" ]; then
			mvn -B -q -f "$root/$project" -Dmaven.repo.local="$cache/m2" compile
			made
		fi
	done
}

# of_kafka NAME compiles a project that runs parts of Apache Kafka, with their jars.
of_kafka() {
	need java mvn
	local project=test/clients/$1
	local sources=("$root/$project/pom.xml")
	[ ! -d "$root/$project/src" ] || sources+=("$root/$project/src")
	if once "$1" "${sources[@]}" || [ ! -d "$root/$project/target/lib" ]; then
		mvn -B -q -f "$root/$project" -Dmaven.repo.local="$cache/m2" compile
		made
	fi
}

tools() { of_kafka tools; } # its command line tools

cleaner() { of_kafka cleaner; } # its log cleaner

kafka() { of_kafka kafka; } # a broker

venv() {
	need python3
	local name=$1
	shift
	if once "$name" "$@"; then
		rm -rf "${cache:?}/$name"
		python3 -m venv "$cache/$name"
		local list
		for list in "$@"; do
			"$cache/$name/bin/pip" install -q --cache-dir "$cache/pip" -r "$list"
		done
		made
	fi
}

python() { venv venv "$root/examples/python/requirements.txt" "$root/test/clients/python/requirements.txt"; }

python-old() { venv venv-old "$root/test/clients/python/requirements-old.txt"; }

node() {
	need node npm
	local project
	for project in examples/node test/clients/node; do
		if once "${project//\//-}" "$root/$project/package.json" "$root/$project/package-lock.json" || [ ! -d "$root/$project/node_modules" ]; then
			npm ci --silent --no-audit --no-fund --cache "$cache/npm" --prefix "$root/$project"
			made
		fi
	done
}

go() {
	local module
	for module in "$root"/examples/go/*/ "$root/test/clients/sarama/"; do
		(cd "$module" && command go build -o "$cache/bin/$(basename "$module")" .)
	done
}

kcat() { need kcat; }

for part in "${@:-java python python-old node go kcat tools cleaner kafka}"; do
	for name in $part; do
		(
			flock 9
			"$name"
		) 9>"$cache/$name.lock"
	done
done
