# Every text of the bot, in English. Texts named button-*, toast-* and command-* are plain; all others are the HTML that
# Telegram takes (b, i, code, pre; write &amp; &lt; &gt;). Arguments come escaped.

## Commands, as Telegram lists them

command-start = what this bot does, and the next step
command-help = every command, a line each
command-add-server = pair a new server: /add_server [name]
command-servers = all servers and how they are
command-status = the figures of a server: /status [name]
command-server-status = the same as /status
command-remove-server = remove a server: /remove_server [name]

## Buttons

button-add-server = ➕ Add a server
button-servers = 🖥 Servers
button-help = ❔ Help
button-show = 📊 { $server }
button-refresh = 🔄 Refresh
button-services = 🔁 Restart a service…
button-clean-journal = 🧹 Clean journal
button-logrotate = 📜 Rotate logs
button-reboot = ⚡ Reboot
button-back = ◀ Back
button-previous = ◀ Previous
button-next = Next ▶
button-copy = 📋 Copy the command
button-apt = Debian / Ubuntu
button-dnf = Fedora / RHEL
button-open-chat = 💬 Open our private chat
button-confirm-restart = ✅ Restart
button-confirm-clean-journal = ✅ Clean
button-confirm-logrotate = ✅ Rotate
button-confirm-reboot = ✅ Reboot
button-confirm-remove = 🗑 Remove
button-cancel = ✖ Cancel
button-cancel-reboot = ✖ Cancel the reboot

## Toasts, over a tapped button: at most 200 characters

toast-refreshed = Up to date
toast-stale = That is no longer so. Ask again with /servers.
toast-not-allowed = You may look, but not do this. A manager of this chat can.
toast-not-yours = Only the person who asked can answer this.
toast-confirmation-expired = The 60 seconds are over; nothing was done. Ask again.
toast-already-answered = This was answered before.
toast-declined = Cancelled; nothing was done.
toast-not-restartable = This service may not, or no longer, be restarted from here.
toast-not-offered = This server does not, or no longer, let the chat ask for this.
toast-reboot-over = This reboot can no longer be cancelled: its message says how it ended.
toast-cancel-asked = The server was asked to cancel it before; a message here shows what comes of that.
toast-limit-reached = Too much is waiting for this server. Try again in a few minutes.
toast-suspended = Commands for this server are suspended: two hosts report with its key.

## The bot itself

welcome-claimed = 🔑 <b>You are now the owner of this bot.</b> Nobody else can use it unless its settings name them.
welcome-what =
    👋 <b>Online Server Monitor</b>
    I show how your Linux servers are, and restart services when you say so.
    A small agent on each server calls out over HTTPS: no SSH, no passwords, no open port.
welcome-next = Nothing is paired yet. Next: tap <b>➕ Add a server</b>, and I give you one line to run on it.
welcome-servers = { $count ->
    [one] One server is paired here.
   *[other] { $count } servers are paired here.
 } Next: tap <b>🖥 Servers</b> to see how they are.
help-title = <b>Commands</b>
help-more =
    Where a server has a name with spaces, write it as it is: /status my web server.
    Before anything is restarted, cleaned, rotated or removed, I ask once more, and only the person who asked can confirm. A reboot can be cancelled by whoever may ask for one.
private-bot =
    🔒 This is a private bot.
    Only its owner, and the people whom its settings name, can use it. If you should be one of them, ask the owner.
unknown-command = I do not know that command. /help lists all that I do.
not-allowed = ⛔ You may look at servers here, but not do this. In a group its administrators can.
set-aside =
    ⚠ Your last request could not be handled, in three attempts; it was set aside and nothing was done.
    Please try again. Whoever runs this bot finds the reason in its log, under update { $update }.
server-gone = This server is no longer paired here.
limit-servers = ⛔ A chat can have { $count } servers, and this one has them all. Remove one with /remove_server first.
limit-pairing-tokens = ⛔ You have too many open pairing commands. Use one, or wait 15 minutes until they expire.
limit-commands = ⛔ Too many commands are waiting for this server; nothing was done. Is it online? Try again in a few minutes.
and-more = … and { $count } more
page-of = Page { $page } of { $pages }

## Pairing

pairing-title = <b>Add a server</b>
pairing-title-named = <b>Add a server: { $server }</b>
pairing-run = Run this line on the server, as a user who may use sudo:
pairing-install = 1. Install the agent. Its package is not published yet: the README says how to build it, under “A server”. Once it is:
pairing-then-run = 2. Then run this line, which pairs it:
pairing-valid = ⏳ Valid 15 minutes, until { $clock }. It works once; keep it to yourself.
pairing-not-installed = Is the agent not installed yet? The buttons show how.
pairing-next = Next: as soon as the line has run, the server is announced in the chat you asked from.
pairing-used = ✅ Used: <b>{ $server }</b> is paired.
pairing-expired = ⌛ Expired: this pairing command no longer works. Ask for a new one.
pairing-sent-privately = 📨 { $person }, the pairing command is in our private chat. It is for your eyes only; the server will belong to this group.
pairing-needs-private-chat = The pairing command is secret, so I send it in private, and there you have to write first. Open our chat, tap <b>Start</b>, then ask again here with /add_server.
paired-title = ✅ <b>{ $server }</b> is paired.
paired-system = System: { $os }
paired-address = Address: { $address }
paired-fingerprint =
    Key fingerprint: { $fingerprint }
    Compare it with what <code>osm-agent status</code> shows on the host.
paired-next = Next: its first figures arrive within a minute.
cloned-title = ⚠ <b>Two hosts report as { $server }</b>, in turn: one is a copy of the other. Commands for it are suspended.
cloned-fix = To go on: pair the original again with /add_server, which makes the key on the copy worthless. Then pair the copy with a command of its own.
server-unpaired = 👋 <b>{ $server }</b> was unpaired on its host. It no longer reports, and what was stored about it is deleted.

## A server's state

state-online = online
state-stale = stale since { $moment } ({ $ago })
state-waiting = waiting for its first report
worst-services = { $count ->
    [one] 1 service failed
   *[other] { $count } services failed
 }
worst-disk = disk { $mount } { $percent }
worst-inodes = inodes of { $mount } { $percent }
worst-memory = memory { $percent }
time-moment = { $date } { $time } UTC
time-clock = { $time } UTC
time-ago = { $duration } ago
time-just-now = just now
duration-days = { $small ->
    [0] { $large } d
   *[other] { $large } d { $small } h
 }
duration-hours = { $small ->
    [0] { $large } h
   *[other] { $large } h { $small } min
 }
duration-minutes = { $small ->
    [0] { $large } min
   *[other] { $large } min { $small } s
 }
duration-seconds = { $large } s

## The status card

status-waiting =
    Paired { $moment } ({ $ago }); nothing was heard of it yet.
    If that lasts, <code>osm-agent doctor</code> on the host says why.
status-figures = Figures of { $moment }, { $ago }
status-figures-stale = ⚠ Last known figures, of { $moment }, { $ago }. Is the host up? <code>osm-agent doctor</code> there says what is wrong.
status-suspended = ⚠ Commands are suspended: two hosts report with this server’s key. Pair it again with /add_server.
status-clock-ahead = ⚠ Its clock is { $duration } ahead. Beyond 30 s it refuses commands: <code>sudo timedatectl set-ntp true</code>
status-clock-behind = ⚠ Its clock is { $duration } behind. Beyond 30 s it refuses commands: <code>sudo timedatectl set-ntp true</code>
status-system = { $os } · { $arch }
status-kernel = Kernel { $kernel }
status-uptime = Up { $duration }, since { $moment }
status-cpu = <b>CPU</b> { $percent } of { $cpus ->
    [one] 1 CPU
   *[other] { $cpus } CPUs
 }
status-cpu-unknown = <b>CPU</b> is known from the next report on
status-memory = <b>Memory</b> { $percent }: { $used } of { $total }
status-swap = <b>Swap</b> { $percent }: { $used } of { $total }
status-swap-none = <b>Swap</b> none
status-load = <b>Load</b> { $one }, { $five }, { $fifteen } over 1, 5, 15 min on { $cpus ->
    [one] 1 CPU
   *[other] { $cpus } CPUs
 }
status-disks = <b>Disks</b>
status-disk = { $mount } { $percent } of { $total } · { $free } free
status-inodes = inodes { $percent }
status-read-only = read-only
status-services = <b>Services</b>
status-systemd-absent = systemd does not run this machine, so its services cannot be seen or restarted.
status-systemd-unreachable = systemd did not answer the agent, so services cannot be seen or restarted now. <code>osm-agent doctor</code> on the host says why.
status-services-none = No known service was found. <code>osm-agent services</code> on the host shows what is looked for.
status-none-restartable = None may be restarted from here. On the host, <code>sudo osm-agent policy allow UNIT</code> changes that.
services-failed = { $count } failed
services-changing = { $count } changing
services-running = { $count } running
services-stopped = { $count } stopped

## Lists

servers-title = <b>Servers</b>
servers-none = Nothing is paired here yet. Tap <b>➕ Add a server</b>, and I give you one line to run on it.
choose-status = Which server?
choose-status-hint = Or write its name: /status NAME
choose-remove = Which server do you want to remove?
choose-remove-hint = Or write its name: /remove_server NAME
no-such-server = No server here is called <b>{ $server }</b>.
pick-service =
    <b>Restart a service on { $server }</b>
    Tap one; I ask once more before anything happens.
pick-service-none = No service on <b>{ $server }</b> may be restarted from here. On the host, <code>sudo osm-agent policy allow UNIT</code> changes that.

## Actions

confirm-restart = Restart { $unit } on <b>{ $server }</b>?
confirm-clean-journal =
    Clean the journal on <b>{ $server }</b>?
    Its archived journal files are vacuumed, oldest first, to the amounts in the host’s <code>agent.toml</code>. What they hold is gone for good.
confirm-logrotate =
    Rotate the logs on <b>{ $server }</b>?
    logrotate runs now, with the system’s own configuration; what that lets go of is gone for good.
confirm-reboot =
    Reboot <b>{ $server }</b>?
    It goes down 60 s after the host has taken this up, and can be cancelled until then. Its services are down until it is back.
confirm-remove =
    Remove <b>{ $server }</b>?
    Its key stops working, commands that wait for it are cancelled, and all that is stored about it is deleted. This cannot be undone. The agent stays installed on the host until you remove it there.
confirm-who = Only { $person } can confirm, within 60 s.
confirm-declined = ✖ Cancelled by { $person }; nothing was done.
confirm-expired = ⌛ Not confirmed within 60 s; nothing was done.
action-restart = 🔁 Restart { $unit } on <b>{ $server }</b>
action-clean-journal = 🧹 Clean the journal on <b>{ $server }</b>
action-logrotate = 📜 Rotate the logs on <b>{ $server }</b>
action-reboot = ⚡ Reboot <b>{ $server }</b>
action-cancel-reboot = ✖ Cancel the reboot of <b>{ $server }</b>
course-queued = ⏳ Queued: waiting for the server to fetch it.
course-delivered = 📨 Sent to the server, which has not answered yet.
course-delivered-reboot = 📨 Sent to the server: it reboots 60 s after it took this up, and answers once it is back.
course-succeeded = ✅ Done, in { $duration }.
course-failed = ❌ Failed, after { $duration }.
course-rejected = ⛔ The host refused it; nothing was done.
course-indeterminate = ❔ Unknown: the agent stopped between starting this and seeing its result. It is never run twice; look at the server’s figures before you ask again.
course-unanswered = ⌛ No answer: the server fetched it and went silent. It may have been done; should the answer still come, you see it here.
course-expired = ⌛ Expired: the server did not fetch it in time; nothing was done. Is it online?
course-cancelled = ✖ Cancelled in time; nothing was done.
refused-clock = Its clock is wrong, so it cannot tell whether a command is still valid. On the host: <code>sudo timedatectl set-ntp true</code>
refused-expired = It arrived too late. Ask again; if that happens often, look at the host’s network.
refused-policy = <code>/etc/osm-agent/agent.toml</code> on the host does not allow this. Whoever is root there can change that.
refused-rate = The host’s own limit: the same service is restarted, and logs are cleaned, at most once in 30 s and 6 times an hour, unless its settings say otherwise. Wait, then ask again.
refused-rate-reboot = The host’s own limit: it is rebooted at most 3 times a day, unless its settings say otherwise. Wait, then ask again.
refused-unit-not-listed = The service is not on the host’s own list. On the host: <code>sudo osm-agent policy allow UNIT</code>
refused-unsupported = The host cannot do this. <code>osm-agent doctor</code> there says what is missing.
refused-unknown = The agent on the host is too old to know this. Update it there: the package is osm-agent.
host-says = The host says: <i>{ $detail }</i>
asked-by = Asked by { $person }, { $moment }
server-removed = 🗑 <b>{ $server }</b> is removed, with all that was stored about it. To take the agent off the host, remove the package osm-agent there.
