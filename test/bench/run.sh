#!/usr/bin/env bash
# make bench: what a request costs over the same binary with reverse_proxy alone.
#
#   BENCH_SECONDS   seconds of load for each case, on each side (16)
#   BENCH_ONLY      one case alone
#   BENCH_PROFILE   directory to write CPU profiles to
#   BENCH_REPLACE_RESPONSE
#                   directory of the source of caddyserver/replace-response, to measure it beside
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
other=()
if [ -n "${BENCH_REPLACE_RESPONSE:-}" ]; then
	echo "bench: building Caddy with replace-response"
	mkdir "$dir/other"
	cat >"$dir/other/main.go" <<-'GO'
		package main

		import (
			caddycmd "github.com/caddyserver/caddy/v2/cmd"
			_ "github.com/caddyserver/caddy/v2/modules/standard"
			_ "github.com/caddyserver/replace-response"
		)

		func main() { caddycmd.Main() }
	GO
	# The same versions of Caddy and of all below it.
	sed 's,^module .*,module other,' go.mod >"$dir/other/go.mod"
	cp go.sum "$dir/other/go.sum"
	source=$(cd "$BENCH_REPLACE_RESPONSE" && pwd)
	(cd "$dir/other" && ${GO:-go} mod edit -require github.com/caddyserver/replace-response@v0.0.0 \
		-replace "github.com/caddyserver/replace-response=$source" && ${GO:-go} mod tidy >/dev/null 2>&1 && ${GO:-go} build -trimpath -o ../replace-response .)
	other=(-other "$dir/replace-response")
fi
"$dir/bench" -binary bin/caddy-impersonate "${other[@]}"
