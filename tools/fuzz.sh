#!/usr/bin/env bash
# Runs every fuzz target of the module for a time, one after the other.
# usage: tools/fuzz.sh [TIME], as go test -fuzztime has it; default 30s
set -euo pipefail
cd "$(dirname "$0")/.."

git grep -E '^func Fuzz[A-Za-z0-9_]+\(' -- '*_test.go' | while IFS=: read -r file line; do
	target=${line#func }
	target=${target%%(*}
	echo "== $target in $(dirname "$file")"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" "./$(dirname "$file")" </dev/null
done
