#!/usr/bin/env bash
# make bench: what a request costs over the same binary with reverse_proxy alone.
#
#   BENCH_SECONDS   seconds of load for each case, on each side (16)
#   BENCH_ONLY      one case alone
#   BENCH_PROFILE   directory to write CPU profiles to
#
# wrk makes the load; it is installed where a package manager can, and done without where not.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v wrk >/dev/null 2>&1; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	echo "bench: installing wrk"
	case "$(uname -s)" in
	Linux) { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk; } >/dev/null 2>&1 || true ;;
	Darwin) brew install wrk >/dev/null 2>&1 || true ;;
	esac
	command -v wrk >/dev/null 2>&1 || echo "bench: wrk can't be installed; a slower client makes the load"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${GO:-go} build -o "$dir/bench" ./test/bench
"$dir/bench" -binary bin/caddy-impersonate
