#!/bin/sh
# setup.sh DIR: makes a Python in DIR that has http-message-signatures, an implementation of RFC 9421 that is not ours.
# Says nothing when it is there already.
set -eu
versions='http-message-signatures==3.0.0 cryptography==50.0.2'

main() {
	dir=$1
	[ ! -e "$dir/bin/python" ] || [ "$(cat "$dir/versions" 2>/dev/null)" != "$versions" ] || exit 0
	python3 -c 'import venv, ensurepip' 2>/dev/null || fail 'python3 with its module venv is missing: apt-get install python3-venv'
	# Made beside and moved: two who set it up at once do not get in each other's way.
	rm -rf "$dir.$$"
	python3 -m venv "$dir.$$" || fail "python3 -m venv does not work: apt-get install python3-venv"
	# shellcheck disable=SC2086 # a list of words
	"$dir.$$/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: $versions ||
		fail "pip could not install $versions: is the package index reachable?"
	echo "$versions" >"$dir.$$/versions"
	rm -rf "$dir" && mv "$dir.$$" "$dir"
}

fail() {
	echo "interop: $*" >&2
	exit 1
}

main "${1:?the folder}"
