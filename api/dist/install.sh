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
host='@HOST@'
key_sha256='@KEY_SHA256@'

keyring=/usr/share/keyrings/osm-agent.asc
apt_source=/etc/apt/sources.list.d/osm-agent.sources
apt_pins=/etc/apt/preferences.d/osm-agent.pref
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
	said='' added='' kept=''
	trap 'finish $?' EXIT
	trap 'said=interrupted; exit 130' INT
	trap 'said=ended; exit 143' TERM HUP

	check_system
	alone
	check_backend
	fetch_key
	say "Adding the signed repository $api/packages"
	"add_$family"
	say 'Installing osm-agent'
	# What an earlier installation has left is not this run's to take away.
	[ ! -e /var/lib/osm-agent ] && [ ! -e /etc/osm-agent ] || kept=yes
	"packages_$family" >"$work/before"
	"install_$family" >"$work/log" 2>&1 </dev/null || fail "$(why_not)"
	"packages_$family" >"$work/after"
	say 'Pairing'
	osm-agent pair --api "$api" --token-file "$token_file" 2>"$work/pair" ||
		fail "pairing failed: $(tail -n 1 "$work/pair" | sed 's/^osm-agent: //')"
	cat "$work/pair" >&2
	say 'Done. How it goes: osm-agent status'
}

usage() {
	echo 'usage: sh osm-install.sh --fingerprint FINGERPRINT --token-file FILE   (as root; - is standard input)'
}

say() {
	echo "$*"
}

fail() {
	said=$*
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

# Two at once would take each other's files for what was there before. The lock ends with this process.
alone() {
	command -v flock >/dev/null || return 0
	exec 9>>/run/osm-install.lock
	flock -n 9 || fail "another osm-install (process $(cat /run/osm-install.lock)) is at work on this machine: wait until it has ended"
	echo $$ >/run/osm-install.lock
}

# The backend's clock against this one: with a wrong one neither TLS, nor apt, nor the agent's signatures work.
check_backend() {
	fetch "$api/healthz" "$work/health" "$work/headers" ||
		fail "$api does not answer: $(tail -n 1 "$work/fetch"). Check network, DNS and proxy (HTTPS_PROXY)"
	there=$(sed -n 's/^ *[Dd]ate: *//p' "$work/headers" | tr -d '\r' | tail -n 1)
	[ -n "$there" ] || return 0
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

# The very key that the backend has, and the fingerprint that the message has; no gpg is needed.
fetch_key() {
	fetch "$api/packages/key.asc" "$work/key.asc" || fail "the key of the packages cannot be had: $(tail -n 1 "$work/fetch")"
	echo "$key_sha256  $work/key.asc" | sha256sum -c - >/dev/null 2>&1 ||
		fail 'the key of the packages is not the one that this script was made for: download the script again'
	sed '1,/^$/d; /^=/,$d; /^-/,$d' "$work/key.asc" | base64 -d >"$work/key" 2>/dev/null || fail 'the key of the packages is damaged'
	fingerprints
	[ "$found" = "$fingerprint" ] || fail "the key of the packages has the fingerprint $found, not $fingerprint: do not go on, and tell your administrator"
}

# found: the fingerprints of all keys in the file, since all would be trusted. Its packets have the headers that GnuPG writes
# (RFC 9580, section 4.2.2). A version 4 fingerprint (section 5.5.4.2) is the SHA-1 of the key's packet behind 0x99 and two bytes of length.
fingerprints() {
	found='' at=0 size=$(wc -c <"$work/key")
	[ "$(grep -c '^-----BEGIN' "$work/key.asc")" = 1 ] || fail 'the file with the key of the packages has more than one key'
	while [ "$at" -lt "$size" ]; do
		# shellcheck disable=SC2046 # three numbers
		set -- $(od -A n -t u1 -j "$at" -N 3 "$work/key") 0 0
		case $(($1 & 195)) in
		128) at=$((at + 2)) length=$2 ;;
		129) at=$((at + 3)) length=$(($2 * 256 + $3)) ;;
		*) fail 'the key of the packages has a form that this script does not know' ;;
		esac
		[ $(($1 & 60)) != 24 ] || found="$found${found:+ and }$(fingerprint_of "$at" "$length")"
		at=$((at + length))
	done
}

fingerprint_of() {
	{
		# shellcheck disable=SC2059 # the format is the bytes
		printf "\\231\\$(printf %o $(($2 / 256)))\\$(printf %o $(($2 % 256)))"
		tail -c +$(($1 + 1)) "$work/key" | head -c "$2"
	} | sha1sum | cut -d ' ' -f 1 | tr a-f A-F
}

# add FILE < CONTENT: what was there before is kept for `undo`.
add() {
	mkdir -p "$work/old" "$(dirname "$1")"
	[ ! -e "$1" ] || cp -p "$1" "$work/old/"
	added="$added $1"
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
	# By its host, which others cannot claim as they can what is written in their Release. Below 1000: nothing is ever downgraded.
	add "$apt_pins" <<-END
		Package: osm-agent
		Pin: origin "$host"
		Pin-Priority: 990

		Package: osm-agent
		Pin: version *
		Pin-Priority: -1

		Package: *
		Pin: release l=osm-agent
		Pin-Priority: -1
	END
}

add_dnf() {
	add "$dnf_key" <"$work/key.asc"
	add "$dnf_source" <<-END
		[osm-agent]
		name=osm-agent
		baseurl=$api/packages/dnf/\$basearch
		gpgcheck=1
		repo_gpgcheck=1
		gpgkey=file://$dnf_key
		priority=1
		includepkgs=osm-agent
		skip_if_unavailable=1
	END
}

packages_apt() {
	dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^i.[^ ]* *//p' | sort
}

# By name, so that one that is only upgraded is none that came; and the keys that rpm trusts.
packages_dnf() {
	{ rpm -qa --qf '%{NAME}\n' && rpm -qa 'gpg-pubkey*'; } | sort -u
}

install_apt() {
	export DEBIAN_FRONTEND=noninteractive
	# A source of packages that is none of ours may be broken; whether ours can be had, the installation shows.
	apt-get update || true
	LC_ALL=C apt-cache policy osm-agent >"$work/policy"
	if grep -q '^ \*\*\* ' "$work/policy" && grep -q 'Candidate: (none)' "$work/policy" && grep -qF " $api/packages/apt " "$work/policy"; then
		foreign "$(dpkg-query -W -f '${Version}' osm-agent)"
		return 1
	fi
	apt-get install -y -o Dpkg::Options::=--force-confold osm-agent
}

install_dnf() {
	dnf install -y --setopt=osm-agent.skip_if_unavailable=0 osm-agent || return
	# What was here before may be another's, and newer.
	here=$(rpm -q --qf '%{VERSION}-%{RELEASE}' osm-agent)
	dnf repoquery -q -y --disablerepo='*' --enablerepo=osm-agent --qf '%{version}-%{release}\n' osm-agent >"$work/ours" || return
	grep -qxF "$here" "$work/ours" || { foreign "$here" && return 1; }
}

foreign() {
	echo "osm-agent $1 is installed, and $api/packages has none that is as new: remove it, then run this again" >"$work/why"
}

why_not() {
	cat "$work/why" 2>/dev/null || echo "$(last_words): osm-agent could not be installed"
}

# The first error that the tool has told, else the last line, without its colon.
last_words() {
	{ grep -m 1 -E '^(E|Error):' "$work/log" || grep . "$work/log" || echo "$tool"; } | tail -n 1 | sed 's/[:.]*$//'
}

finish() {
	trap - EXIT
	if [ "$1" != 0 ]; then
		[ -z "$added" ] || { undo >/dev/null 2>&1 </dev/null && said="$said; what this run had added was taken away again"; } ||
			said="$said; what this run had added could not all be taken away again"
		[ -z "$said" ] || echo "osm-install: $said" >&2
	fi
	rm -rf "$work"
	exit "$1"
}

undo() {
	left=0
	if [ -e "$work/before" ]; then
		[ -e "$work/after" ] || "packages_$family" >"$work/after"
		comm -13 "$work/before" "$work/after" >"$work/new"
		# With what came along with it. If osm-agent itself was here before, what came belongs to it.
		! grep -qx osm-agent "$work/new" || "remove_$family" || left=1
	fi
	"forget_$family" || left=1
	for file in $added; do
		old=$work/old/${file##*/}
		if [ -e "$old" ]; then cp -p "$old" "$file"; else rm -f "$file"; fi || left=1
	done
	return "$left"
}

remove_apt() {
	if [ -n "$kept" ]; then verb=remove; else verb=purge; fi
	xargs -r apt-get "$verb" -y <"$work/new"
}

# Not by dnf, which would also remove what somebody else has installed on top meanwhile; nor by its history, in which the last
# transaction may be another's.
remove_dnf() {
	grep -v '^gpg-pubkey' "$work/new" | xargs -r rpm -e || return
	[ -n "$kept" ] || { rm -rf /var/lib/osm-agent /etc/osm-agent && userdel osm-agent; }
}

# What the tools keep of a repository, unless it was theirs before.
forget_apt() {
	lists=/var/lib/apt/lists ours=${api#*://}_packages_apt_
	cmp -s "$work/old/${apt_source##*/}" "$apt_source" || rm -f "$lists/$ours"* "$lists/partial/$ours"*
}

forget_dnf() {
	cmp -s "$work/old/${dnf_source##*/}" "$dnf_source" || rm -rf /var/cache/dnf/osm-agent[-.]* /var/cache/libdnf5/osm-agent[-.]*
	[ ! -e "$work/new" ] || grep '^gpg-pubkey-' "$work/new" | xargs -r rpm -e
}

main "$@"
