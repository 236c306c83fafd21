#!/bin/sh
# Fetches libchdb, the ClickHouse engine as a library, with npm into a cache directory, unless it is there already,
# and prints its path. Needs npm (set up for whichever registry it uses) and tar.
#
#   CHSERVER_CACHE  where to keep it; default $XDG_CACHE_HOME/caddy-impersonate or ~/.cache/caddy-impersonate
set -eu

version=26.7.3-stable.1
case "$(uname -s)-$(uname -m)" in
Linux-x86_64)
	platform=linux-x64-gnu
	sha512=5cff7b98caa7739b59a4a432c11f0dedc2d3b073624e61ebdf4a42e66ce8de35a6ba48ca9f62016bad1cd81fe059435cb858ce3235a8a2b408082a81563e70a7
	;;
Linux-aarch64) platform=linux-arm64-gnu sha512= ;;
Darwin-x86_64) platform=darwin-x64 sha512= ;;
Darwin-arm64) platform=darwin-arm64 sha512= ;;
*)
	echo "fetch.sh: there is no libchdb for $(uname -s) $(uname -m); set CLICKHOUSE_DSN to test against a server" >&2
	exit 1
	;;
esac

cache=${CHSERVER_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/caddy-impersonate}
dir=$cache/libchdb-$platform-$version
if [ -f "$dir/libchdb.so" ]; then
	echo "$dir/libchdb.so"
	exit 0
fi
command -v npm >/dev/null || {
	echo "fetch.sh: npm is needed to fetch libchdb (Debian: apt-get install npm)" >&2
	exit 1
}

# Into a directory of its own, renamed when whole: whoever fetches at the same time finds all of it or nothing.
mkdir -p "$cache"
tmp=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
echo "fetching @chdb/lib-$platform $version (about 180 MB)" >&2
(cd "$tmp" && npm pack --silent "@chdb/lib-$platform@$version" >/dev/null) || {
	echo "fetch.sh: npm could not fetch @chdb/lib-$platform $version" >&2
	exit 1
}
tgz=$(echo "$tmp"/*.tgz)
if [ -n "$sha512" ]; then # npm has checked the registry's own hash; this one holds whatever the registry says
	if command -v sha512sum >/dev/null; then got=$(sha512sum "$tgz"); else got=$(shasum -a 512 "$tgz"); fi
	if [ "${got%% *}" != "$sha512" ]; then
		echo "fetch.sh: $tgz has SHA-512 ${got%% *}, not $sha512" >&2
		exit 1
	fi
fi
mkdir "$tmp/lib"
tar -xzf "$tgz" -C "$tmp/lib" --strip-components 1 package/libchdb.so
if ! mv "$tmp/lib" "$dir" 2>/dev/null || [ -d "$dir/lib" ]; then
	rm -rf "$dir/lib" # another one was first
fi
[ -f "$dir/libchdb.so" ]
echo "$dir/libchdb.so"
