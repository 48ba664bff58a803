# Every text of the bot, in English. Texts named button-*, toast-* and command-* are plain; all others are the HTML that
# Telegram takes (b, i, code, pre; write &amp; &lt; &gt;). Arguments come escaped.

## Commands, as Telegram lists them

command-start = what this bot does, and the next step
command-help = every command, a line each
command-add-server = pair a new server: /add_server [name]
command-servers = all servers and how they are
command-status = the figures of a server: /status [name]
command-server-status = the same as /status
command-alerts = what is open now, and a test alert
command-mute = no sound for a while: /mute [server] 2h, or 22:00-06:00 every day
command-unmute = what is mute, with the buttons that end it
command-thresholds = the limits, and how to change them: /thresholds [server]
command-timezone = in which times are shown: /timezone Europe/Berlin
command-remove-server = remove a server: /remove_server [name]

## Buttons

button-add-server = ➕ Add a server
button-servers = 🖥 Servers
button-help = ❔ Help
button-show = 📊 { $server }
button-refresh = 🔄 Refresh
button-remove = 🗑 Remove
button-services = 🔁 Restart a service…
button-clean-journal = 🧹 Clean journal
button-logrotate = 📜 Rotate logs
button-reboot = ⚡ Reboot
button-back = ◀ Back
button-previous = ◀ Previous
button-next = Next ▶
button-copy = 📋 Copy the command
button-copy-step = 📋 Copy { $number }
button-apt = Debian / Ubuntu
button-dnf = Fedora / RHEL
button-open-chat = 💬 Open our private chat
button-acknowledge = 👀 I have it
button-acknowledge-all = 👀 I have them all
button-snooze = 😴 { $hours } h
button-restart = 🔁 Restart { $unit }
button-alerts = 🚨 Open alerts
button-test-alert = 🔔 Test alert
button-thresholds = 🎚 Limits
button-thresholds-chat = ◀ Limits of the chat
button-lower = ➖ { $value }
button-higher = ➕ { $value }
button-over-lower = ➖ over below { $value }
button-over-higher = ➕ over below { $value }
button-shorter = ⏱ Shorter
button-longer = ⏱ Longer
button-make-warning = 🟠 Make it a warning
button-make-critical = 🔴 Make it critical
button-switch-off = ⏸ Switch off
button-switch-on = ▶ Switch on
button-save = 💾 Save
button-reset = ↩ Back to the default
button-mute = 🔕 { $whom } { $hours } h
button-unmute = 🔔 End: { $whom }, { $when }
button-cpu = CPU
button-memory = Memory
button-swap = Swap
button-disk = Disk
button-inodes = Inodes
button-read-only = Read-only
button-no-answer = No answer
button-load = Load
button-service = Services
button-restarts = Restarts
button-not-ready = Not ready
button-down = Down
button-unit = Mounts, timers
button-offline = Offline
button-rebooted = Reboots
button-clock = Clock
button-commands = Commands
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
toast-acknowledged = Noted: you have it. I will not remind anybody.
toast-snoozed = No reminders until then.
toast-alert-over = This alert is over.
toast-saved = Saved
toast-out-of-range = This limit is not allowed; nothing was changed. Percentages go from 1 to 100.
toast-muted = No sound until then; what happens meanwhile is in /alerts.
toast-unmuted = It may be heard again.
toast-too-many-mutes = There are 50 of them already. End one first.
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
    Only its owner, and the people whom they let in, can use it. If you should be one of them, ask the owner; your number is { $number }.
access-granted = ✅ You may use this bot now.
access-revoked = 🔒 You may no longer use this bot. What it tells of servers is no longer sent here.
access-owner = 🔑 <b>You are the owner of this bot now.</b> Whoever was it before may no longer use it.
left-title = ⚠ <b>Servers of people who may no longer use this bot</b>
left-private = Person { $person }, private chat: { $servers }{ $more ->
    [0] {""}
   *[other] {" "}and { $more } more
 }. Nothing is sent there.
left-group = Person { $person }, paired in group { $chat }: { $servers }{ $more ->
    [0] {""}
   *[other] {" "}and { $more } more
 }. The group goes on hearing of them.
left-more = And { $count } more chats.
left-what =
    On the backend's machine, <code>osm-api servers move</code> gives a server to another chat, <code>osm-api servers remove</code> and <code>osm-api chats revoke</code> remove them, and <code>osm-api access grant</code> lets a person in again.
unknown-command = I do not know that command. /help lists all that I do.
not-allowed = ⛔ You may look at servers here, but not do this. In a group its administrators can.
set-aside =
    ⚠ Your last request could not be handled, in three attempts; it was set aside and nothing was done.
    Please try again. Whoever runs this bot finds the reason in its log, under update { $update }.
refused-title =
    🛡 <b>Refused { $count ->
        [one] once
       *[other] { $count } times
    } in the last minute:</b> { $what }
refused-from = From { $networks }
refused-next = Nothing of it was done. The log has every minute; here you hear of it at most once an hour.
packages-run-out = ⏳ <b>The package repositories of this backend can be used until { $moment }.</b>
packages-over = ⛔ <b>The package repositories of this backend have run out, at { $moment }.</b> Until they are signed anew, no server installs or upgrades the agent from them.
packages-next = Where packages are made: <code>make repositories</code>. Then put them here in the old ones’ place; the README says how. You hear of this once a week.
refused-pairing-token = a pairing token that is wrong, used or expired
refused-unknown-key = a key that no server has
refused-signature = a signature that does not hold
refused-webhook-secret = a wrong secret of the webhook
refused-too-many = more requests than one address may make
refused-too-many-of-key = more requests than one server may make
refused-no-room = more than this backend takes at once
refused-too-slow = a request that did not arrive in time
refused-too-large = a request over its limit
refused-stranger = somebody whom nobody here has let in
server-gone = This server is no longer paired here.
limit-servers = ⛔ A chat can have { $count } servers, and this one has them all. Remove one with /remove_server first.
limit-pairing-tokens = ⛔ You have too many open pairing commands. Use one, or wait 15 minutes until they expire.
limit-mutes = ⛔ This chat has as many mutes as it may have; nothing was muted. End one with /unmute first.
limit-commands = ⛔ Too many commands are waiting for this server; nothing was done. Is it online? Try again in a few minutes.
and-more = … and { $count } more
page-of = Page { $page } of { $pages }

## Pairing

pairing-title = <b>Add a server</b>
pairing-title-named = <b>Add a server: { $server }</b>
pairing-run = Run this line on the server, as a user who may use sudo:
pairing-install = Install the agent. This bot offers no packages: add the repository that you have them in (the README says how to make one), then:
pairing-then-run = Pair it:
pairing-fetch = 1. On the server, as a user who may use sudo: fetch the installer and check it.
pairing-install-and-pair = 2. If that said “OK”: install the agent and pair it.
pairing-key = Fetch the key that signs the packages. Its fingerprint is { $fingerprint }; <code>gpg --show-keys</code> with the file’s name shows it.
pairing-repository = Add the signed repository:
pairing-only = Take osm-agent from there alone, and nothing else from there:
pairing-package = Install the agent:
pairing-by-hand = Rather without a script? The buttons show each step.
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
server-paired-elsewhere = 👋 <b>{ $server }</b> was paired anew, in another chat, by somebody with root's rights on that host. It no longer reports here; what is stored of it stays until you remove it.
server-removed-by-operator = 🗑 <b>{ $server }</b> was removed on the backend's machine, by whoever runs it, with all that was stored about it.
server-moved-away = 👋 <b>{ $server }</b> was moved to another chat on the backend's machine, by whoever runs it, with its history.
server-moved-here = 🖥 <b>{ $server }</b> was moved here on the backend's machine, by whoever runs it, with its history.
chat-revoked = 🔒 Whoever runs this bot has removed what it had for this chat: { $count ->
    [0] there were no servers
    [one] one server
   *[other] { $count } servers
 }. From a group the bot leaves now.
token-tried =
    🔑 <b>Another machine tried the pairing line of { $server }</b>, from { $address }. It was refused: a line works once.
    If that was you, take a new line for each machine. If not, somebody else has read it: think who can.
server-unpaired = 👋 <b>{ $server }</b> was unpaired on its host. It no longer reports, and what was stored about it is deleted.

## A server's state

state-online = online
state-stale = stale since { $moment } ({ $ago })
state-waiting = waiting for its first report
state-unpaired = paired elsewhere since { $moment }
worst-services = { $count ->
    [one] 1 unit failed
   *[other] { $count } units failed
 }
worst-in-trouble = { $count ->
    [one] 1 service in trouble
   *[other] { $count } services in trouble
 }
worst-disk = disk { $mount } { $percent }
worst-inodes = inodes of { $mount } { $percent }
worst-memory = memory { $percent }
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
status-unpaired = Its host was paired anew in another chat, and reports there. What is stored of it here stays until you remove it.
status-figures = Figures of { $moment }, { $ago }
status-figures-stale = ⚠ Last known figures, of { $moment }, { $ago }. Is the host up? <code>osm-agent doctor</code> there says what is wrong.
status-suspended = ⚠ Commands are suspended: two hosts report with this server’s key. Pair it again with /add_server.
status-commands-unreachable = ⚠ Commands do not reach this server: { $why }
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
status-disk-no-answer = ⚠ { $mount } · does not answer
status-disk-forbidden = 🔒 { $mount } · the agent may not look there
status-disks-left-out = { $count ->
    [one] 1 more disk does not fit in here.
   *[other] { $count } more disks do not fit in here.
 }
status-disk = { $mount } { $percent } of { $total } · { $free } free
status-inodes = inodes { $percent }
status-read-only = read-only
status-services = <b>Services</b>
status-systemd-absent = systemd does not run this machine, so its services cannot be seen or restarted.
status-systemd-unreachable = systemd did not answer the agent, so services cannot be seen or restarted now. <code>osm-agent doctor</code> on the host says why.
status-services-none = No known service was found. <code>osm-agent services</code> on the host shows what is looked for.
status-monitored-only = Nothing can be asked for here: { $why }.
status-none-restartable = None may be restarted from here. On the host, <code>sudo osm-agent policy allow UNIT</code> changes that.
services-failed = { $count } failed
services-in-trouble = { $count } in trouble
services-changing = { $count } changing
services-running = { $count } running
services-stopped = { $count } stopped

## Alerts

severity-critical = critical
severity-warning = warning
alert-cpu = CPU at { $value }
alert-memory = memory { $value } full
alert-swap = swap { $value } full
alert-disk = disk { $mount } { $value } full
alert-inodes = inodes of { $mount } { $value } used
alert-read-only = disk { $mount } went read-only
alert-no-answer = disk { $mount } does not answer
alert-load = load { $value }
alert-service = { $unit } failed
alert-restarts = { $unit } is restarted again and again: { $value }
alert-not-ready = { $unit } does not get ready
alert-down = { $unit } is not running since boot
alert-unit = { $unit } failed
alert-unit-now = By now: { $state }
alert-offline = offline, last heard at { $moment }
alert-reboot = rebooted at { $moment }
alert-clock = clock off by { $value }
alert-commands = commands do not reach it
restart-count = { $count ->
    [one] 1 restart
   *[other] { $count } restarts
 }
unit-reason = { $result }, status { $status }
unit-restarts = { $count ->
    [one] restarted once, { $ago } ago
   *[other] restarted { $count } times, the last time { $ago } ago
 }
unit-not-ready = not ready
unit-down = not running since boot
unit-down-for = not running since boot, for { $unit } failed
per-cpu = { $value } per CPU
missed-reports = { $count ->
    [one] 1 missed report
   *[other] { $count } missed reports
 }
alert-limit = Limit { $limit }; over below { $lower }.
alert-limit-held = Limit { $limit } for { $hold }; over below { $lower }.
alert-since = { $severity } since { $moment } ({ $ago })
alert-over = ✅ Over after { $duration }: { $from } to { $to }
alert-reboot-unasked = Nobody asked for it in this chat.
alert-flapping = ↔ It comes and goes: { $count } times. You hear of it again once it was well for an hour.
alert-flapping-quiet = ↔ It comes and goes: { $count } times; well for now. It is over once it was well for an hour.
alert-acknowledged = 👀 { $person } has it.
alert-snoozed = 😴 No reminders until { $moment }.
alert-processes = The biggest processes at that moment:
alert-process = { $name } · { $cpu } of one CPU · { $memory }
alert-action-under-way = ⏳ { $person } asked the host to mend it, { $ago }.
alert-action-succeeded = ✅ { $person } had the host act on it, { $ago }. It is over once the figures say so.
alert-action-failed = ❌ { $person } asked the host to act on it, { $ago }; that did not work.
alert-digest = 🚨 <b>{ $count } alerts</b>: { $critical } critical, { $open } open
alert-vanished = 🔴 <b>{ $count } of { $servers } servers stopped reporting</b> at { $moment }
alert-vanished-back = { $back } of { $count } are back.
alert-vanished-all = All of them at once: perhaps it is the network of this backend, and not theirs.
recovered-one = ✅ Over: { $what }; it lasted { $duration }
recovered-many = ✅ <b>{ $count } alerts are over</b>, after { $duration }
recovered-servers = ✅ <b>All { $count } servers are back</b>, after { $duration }
recovered-all-well = Nothing else is open.
recovered-still-open = Still open: { $count }
reminder-title = ⏰ <b>Nobody has seen to { $count ->
    [one] an alert
   *[other] { $count } alerts
 } yet</b>
alerts-title = <b>Open alerts: { $count }</b>
alerts-none = ✅ Nothing is open.
open-alerts = { $count ->
    [one] 🚨 1 open alert
   *[other] 🚨 { $count } open alerts
 }
test-alert = 🔔 <b>This is a test.</b> A critical alert comes like this one: did your phone ring? If not, look at how this chat may notify you.
delayed-since = ⏳ Delayed: this is of { $moment }.

## Limits

thresholds-chat = <b>Limits of this chat</b>, for every server without its own
thresholds-server = <b>Limits of { $server }</b>
thresholds-hint = Tap one to change it. Before you save, I show what it would have done.
threshold-off = off
threshold-limit = { $limit }, over below { $lower } · { $severity }
threshold-limit-held = { $limit } for { $hold }, over below { $lower } · { $severity }
threshold-missed = { $limit } · { $severity }
threshold-event = at once · { $severity }
threshold-event-held = for { $hold } · { $severity }
threshold-present = Now: { $limits }
threshold-tried = New: { $limits }
threshold-now = The figure at present: { $value } ({ $server })
history-days = In the last { $days } days: { $alerts }.
history-at = { $count ->
    [one] 1 alert
   *[other] { $count } alerts
 } at { $limit } for { $hold }
history-too-many = What another limit would have done is told of up to { $most } servers: open the limits of one.
history-off = none while it is off
rule-cpu = CPU, busy
rule-memory = Memory, used of what there is
rule-swap = Swap, used
rule-disk = Disks, each, used
rule-inodes = Inodes of disks, each, used
rule-read-only = A disk went read-only
rule-no-answer = A disk does not answer
rule-load = Load over 5 min
rule-service = A service failed
rule-restarts = A service is restarted again and again
rule-not-ready = A service does not get ready
rule-down = A service is not running since boot
rule-unit = A mount, timer or the like failed
rule-offline = A server stopped reporting
rule-reboot = A server rebooted unasked
rule-clock = The clock is off
rule-commands = Commands do not reach a server

## Silence

mutes-title = <b>What makes no sound</b>
mutes-none = Everything here may be heard.
mutes-hint =
    The buttons begin a silence now. Or write: <code>/mute web-1 2h</code>, <code>/mute 22:00-06:00</code> (every day, in { $zone }; change that with /timezone).
    What happens meanwhile is in /alerts; what is still open then is told.
mute-chat = the whole chat
mute-line = { $whom } · { $when } · by { $person }
mute-until = until { $moment }
mute-daily = daily { $from }–{ $to }
usage-mute =
    I did not understand for how long. Write for example:
    <code>/mute 2h</code> or <code>/mute web-1 30m</code> (m, h or d, up to 30 days)
    <code>/mute 22:00-06:00</code> or <code>/mute web-1 22:00-06:00</code> (every day)
usage-timezone = I do not know this time zone. Write its name as in <code>/timezone Europe/Berlin</code> or <code>/timezone UTC</code>.
time-zone = Times are shown in { $zone }, where it is { $clock }. To change that: <code>/timezone Area/City</code>

## Lists

servers-title = <b>Servers</b>
servers-none = Nothing is paired here yet. Tap <b>➕ Add a server</b>, and I give you one line to run on it.
choose-status = Which server?
choose-status-hint = Or write its name: /status NAME
choose-remove = Which server do you want to remove?
choose-remove-hint = Or write its name: /remove_server NAME
choose-thresholds = The limits of which server?
choose-thresholds-hint = Or write its name: /thresholds NAME
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
