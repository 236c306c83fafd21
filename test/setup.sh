#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Run as root, or with sudo where a package is missing; does
# nothing when all is there. On Debian by apt, on macOS by Homebrew.
#
#   gcc                 the race detector needs cgo
#   node (20 or later)  runs the identity providers; where the system's is older, one is taken from npm into .cache
#   chromium            the browser tests
#   axe-core            the accessibility rules they hold pages to (npm, into .cache)
#   python3-django      a real app with header login, a session cookie of its own, CSRF tokens and gzip
#   request-tracker5, icingaweb2 (with php-fpm)
#                       real apps with header login and sessions of their own (Debian only)
#   nginx with nchan, radicale, sogo (with postgresql and memcached)
#                       real apps with header login and no session of their own (Debian only)
#   slapd, postgresql, mariadb-server
#                       where accounts are kept (Debian only)
#   rsyslog             a syslog daemon, to be a witness (Debian only)
#   python3             runs docs/verify.py
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/caddy-impersonate

have() { command -v "$1" >/dev/null 2>&1; }
django() { /usr/bin/python3 -c 'import django' 2>/dev/null; }
node_ok() { have node && have npm && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }

case "$(uname -s)" in
Linux)
	want=()
	have gcc || want+=(gcc libc6-dev)
	have make || want+=(make)
	have chromium || want+=(chromium)
	have npm || want+=(nodejs npm)
	django || want+=(python3-django)
	have curl || want+=(ca-certificates)
	{ [ -d /usr/share/request-tracker5 ] && have plackup; } || want+=(request-tracker5 rt5-db-sqlite rt5-standalone)
	[ -d /usr/share/icingaweb2/public ] || want+=(icingaweb2)
	compgen -G '/usr/sbin/php-fpm*' >/dev/null || want+=(php-fpm)
	[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || want+=(nginx-light libnginx-mod-nchan)
	have radicale || want+=(radicale)
	[ -x /usr/sbin/sogod ] || want+=(sogo)
	have memcached || want+=(memcached)
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || want+=(postgresql)
	{ [ -x /usr/sbin/slapd ] && have ldapmodify; } || want+=(slapd ldap-utils)
	[ -x /usr/sbin/mariadbd ] || want+=(mariadb-server)
	{ [ -x /usr/sbin/rsyslogd ] && compgen -G "/usr/lib/*/rsyslog/lmnsd_gtls.so" >/dev/null; } || want+=(rsyslog rsyslog-gnutls)
	[ -x /usr/bin/python3 ] || want+=(python3-minimal)
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	if [ ${#want[@]} -gt 0 ]; then
		have apt-get || { echo "setup: please install: ${want[*]}" >&2; exit 1; }
		[ -z "$sudo" ] || have sudo || { echo "setup: run as root, or install sudo, to install: ${want[*]}" >&2; exit 1; }
		echo "setup: installing ${want[*]}"
		$sudo apt-get update -qq
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
	fi
	# The empty database that Debian made for RT is for its own group only.
	if [ ! -s "$cache/rtdb" ]; then
		mkdir -p "$cache"
		$sudo cat /var/lib/dbconfig-common/sqlite3/request-tracker5/rtdb >"$cache/rtdb.new"
		mv "$cache/rtdb.new" "$cache/rtdb"
	fi
	;;
Darwin)
	have brew || { echo "setup: Homebrew is needed to install node, chromium and django" >&2; exit 1; }
	node_ok || brew install node
	have chromium || [ -d "/Applications/Google Chrome.app" ] || brew install --cask chromium
	django || /usr/bin/python3 -m pip install --user 'django==3.2.*'
	;;
*)
	echo "setup: only Debian and macOS are set up by this script" >&2
	exit 1
	;;
esac

if ! node_ok && [ ! -x "$cache/node/node_modules/.bin/node" ]; then
	echo "setup: the system's Node.js is older than 20; taking one from npm"
	mkdir -p "$cache/node"
	npm install --silent --no-audit --no-fund --prefix "$cache/node" node@22
fi

# Anew when the lock file names another.
if ! cmp -s test/axe/package-lock.json "$cache/axe/installed"; then
	echo "setup: taking axe-core from npm"
	mkdir -p "$cache/axe"
	cp test/axe/package.json test/axe/package-lock.json "$cache/axe/"
	PATH="$cache/node/node_modules/.bin:$PATH" npm ci --silent --ignore-scripts --no-audit --no-fund --prefix "$cache/axe"
	cp test/axe/package-lock.json "$cache/axe/installed"
fi
