#!/bin/sh
# setup.sh DIR: makes a Python in DIR that has http-message-signatures, an implementation of RFC 9421 that is not ours.
# Says nothing when it is there already.
set -eu
versions='http-message-signatures==3.0.0 cryptography==50.0.2'

main() {
	dir=$1
	[ ! -e "$dir/bin/python" ] || [ "$(cat "$dir/versions" 2>/dev/null)" != "$versions" ] || exit 0
	command -v python3 >/dev/null || fail 'python3 is missing: apt-get install python3-venv'
	# The module is there without the package that makes it work: ensurepip tells.
	python3 -c 'import venv, ensurepip' 2>/dev/null || install
	# Made beside and moved: two who set it up at once do not get in each other's way.
	rm -rf "$dir.$$" && python3 -m venv "$dir.$$" || fail "python3 -m venv does not work: apt-get install python3-venv"
	# shellcheck disable=SC2086 # a list of words
	"$dir.$$/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: $versions ||
		fail "pip could not install $versions: is the package index reachable?"
	echo "$versions" >"$dir.$$/versions"
	rm -rf "$dir" && mv "$dir.$$" "$dir"
}

install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail 'python3-venv is missing; as root: apt-get install python3-venv'
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv >&2 || fail 'apt-get could not install python3-venv'
}

fail() {
	echo "interop: $*" >&2
	exit 1
}

main "${1:?the folder}"
