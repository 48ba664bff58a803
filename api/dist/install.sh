#!/bin/sh
# Installs osm-agent, the agent of Online Server Monitor, from the signed package repository at
# @API@, and pairs this machine with the backend there.
#
#   sh osm-install.sh --fingerprint FINGERPRINT --token-file FILE     as root; FILE may be - for standard input
#
# FINGERPRINT, of the key that signs the packages, and the token are in the bot's message. The token goes from its file to
# `osm-agent pair` and is seen by nothing else. Nothing is changed before every check has passed; if anything fails after
# that, what this run has added is taken away again. Run it as often as you like.
#
# Everything is a function that is called in the last line: a download that was cut off does nothing.
set -eu

api='@API@'
key_sha256='@KEY_SHA256@'

keyring=/usr/share/keyrings/osm-agent.asc
apt_source=/etc/apt/sources.list.d/osm-agent.sources
dnf_key=/etc/pki/rpm-gpg/RPM-GPG-KEY-osm-agent
dnf_source=/etc/yum.repos.d/osm-agent.repo

main() {
	umask 022
	fingerprint='' token_file=''
	while [ $# -gt 0 ]; do
		case $1 in
		--fingerprint) fingerprint=$(printf %s "${2:-}" | tr -d ' ' | tr a-f A-F) ;;
		--token-file) token_file=${2:-} ;;
		-h | --help) usage && exit 0 ;;
		*) usage >&2 && exit 2 ;;
		esac
		[ $# -ge 2 ] || { usage >&2 && exit 2; }
		shift 2
	done
	if [ -z "$fingerprint" ] || [ -z "$token_file" ]; then usage >&2 && exit 2; fi

	work=$(mktemp -d)
	added='' package_added=''
	trap 'finish $?' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	check_system
	check_backend
	fetch_key
	say "Adding the signed repository $api/packages"
	"add_$family"
	say 'Installing osm-agent'
	"install_$family" >"$work/log" 2>&1 </dev/null || fail "$(last_words): osm-agent could not be installed"
	say 'Pairing'
	osm-agent pair --api "$api" --token-file "$token_file" || fail 'this machine is not paired'
	added='' package_added=''
	say 'Done. How it goes: osm-agent status'
}

usage() {
	echo 'usage: sh osm-install.sh --fingerprint FINGERPRINT --token-file FILE   (as root; - is standard input)'
}

say() {
	echo "$*"
}

fail() {
	echo "osm-install: $*" >&2
	exit 1
}

check_system() {
	[ "$(id -u)" = 0 ] || fail 'this needs root: run it with sudo'
	[ -d /run/systemd/system ] || fail 'this system does not run systemd: the agent cannot be installed as a service here'
	# shellcheck source=/dev/null
	os=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") || os=''
	case " $os " in
	*' debian '* | *' ubuntu '*) family=apt tool=apt-get ;;
	*' fedora '* | *' rhel '* | *' centos '*) family=dnf tool=dnf ;;
	*) fail "this system (${os:-without /etc/os-release}) is neither of Debian's nor of Fedora's family: there is no package for it" ;;
	esac
	command -v "$tool" >/dev/null || fail "$tool is missing"
	case $(uname -m) in
	x86_64 | aarch64) ;;
	*) fail "there is no package for this architecture, $(uname -m)" ;;
	esac
	[ "$token_file" = - ] || [ -r "$token_file" ] || fail "$token_file cannot be read"
}

# The backend's clock against this one: with a wrong one neither TLS, nor apt, nor the agent's signatures work.
check_backend() {
	fetch "$api/healthz" "$work/health" "$work/headers" ||
		fail "$api does not answer: $(tail -n 1 "$work/fetch"). Check network, DNS and proxy (HTTPS_PROXY)"
	there=$(sed -n 's/^ *[Dd]ate: *//p' "$work/headers" | tr -d '\r' | tail -n 1)
	there=$(date -d "$there" +%s 2>/dev/null) || return 0
	off=$(($(date +%s) - there))
	[ "${off#-}" -le 300 ] ||
		fail "the clock of this machine is ${off#-} s off the backend's: set it right (timedatectl set-ntp true), then try again"
}

# fetch URL FILE [HEADERS]
fetch() {
	if command -v curl >/dev/null; then
		curl -fsSL --connect-timeout 20 --max-time 120 -D "${3:-/dev/null}" -o "$2" "$1" 2>"$work/fetch"
	elif command -v wget >/dev/null; then
		wget -S -T 20 -t 2 -O "$2" "$1" >"$work/fetch" 2>&1 && cp "$work/fetch" "${3:-/dev/null}"
	else
		fail 'neither curl nor wget is here: install one of them'
	fi
}

# The very key that the backend has, and the fingerprint that the message has. A version 4 fingerprint (RFC 9580, section
# 5.5.4.2) is the SHA-1 of the key's packet with a header of three bytes, which is how GnuPG writes it: no gpg is needed.
fetch_key() {
	fetch "$api/packages/key.asc" "$work/key.asc" || fail "the key of the packages cannot be had: $(tail -n 1 "$work/fetch")"
	echo "$key_sha256  $work/key.asc" | sha256sum -c - >/dev/null 2>&1 ||
		fail 'the key of the packages is not the one that this script was made for: download the script again'
	sed '1,/^$/d; /^=/,$d; /^-/,$d' "$work/key.asc" | base64 -d >"$work/key" 2>/dev/null || fail 'the key of the packages is damaged'
	# shellcheck disable=SC2046 # three numbers
	set -- $(od -A n -t u1 -N 3 "$work/key")
	[ "$1" = 153 ] || fail 'the key of the packages is damaged'
	found=$(head -c $((3 + $2 * 256 + $3)) "$work/key" | sha1sum | cut -d ' ' -f 1 | tr a-f A-F)
	[ "$found" = "$fingerprint" ] || fail "the key of the packages has the fingerprint $found, not $fingerprint: do not go on, and tell your administrator"
}

# add FILE < CONTENT: notes a file that was not there before.
add() {
	[ -e "$1" ] || added="$added $1"
	mkdir -p "$(dirname "$1")"
	cat >"$1"
}

add_apt() {
	add "$keyring" <"$work/key.asc"
	add "$apt_source" <<-END
		Types: deb
		URIs: $api/packages/apt
		Suites: stable
		Components: main
		Signed-By: $keyring
	END
}

add_dnf() {
	add "$dnf_key" <"$work/key.asc"
	add "$dnf_source" <<-END
		[osm-agent]
		name=Online Server Monitor
		baseurl=$api/packages/dnf/\$basearch
		enabled=1
		gpgcheck=1
		repo_gpgcheck=1
		gpgkey=file://$dnf_key
	END
}

install_apt() {
	export DEBIAN_FRONTEND=noninteractive
	dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sort >"$work/before"
	# A source of packages that is none of ours may be broken; whether ours can be had, the installation shows.
	apt-get update || true
	grep -q '^ii  osm-agent$' "$work/before" || package_added=apt
	apt-get install -y -o Dpkg::Options::=--force-confold osm-agent
}

install_dnf() {
	rpm --quiet -q osm-agent || package_added=dnf
	dnf install -y osm-agent
}

# The first error that the tool has told, else the last line, without its colon.
last_words() {
	{ grep -m 1 -E '^(E|Error):' "$work/log" || grep . "$work/log" || echo "$tool"; } | tail -n 1 | sed 's/[:.]*$//'
}

finish() {
	trap - EXIT
	if [ "$1" != 0 ]; then
		remove_package >/dev/null 2>&1 </dev/null || true
		# shellcheck disable=SC2086 # a list of paths without blanks
		[ -z "$added" ] || rm -f $added
		[ -z "$added" ] || echo 'osm-install: what this run had added was taken away again' >&2
	fi
	rm -rf "$work"
	exit "$1"
}

# With what came along with it, and nothing else.
remove_package() {
	case $package_added in
	apt)
		dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sort >"$work/after"
		comm -13 "$work/before" "$work/after" | sed -n 's/^i. *//p' | xargs -r apt-get purge -y
		;;
	dnf) dnf history undo -y last || dnf remove -y osm-agent ;;
	esac
}

main "$@"
