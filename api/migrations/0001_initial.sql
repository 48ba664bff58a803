-- Portable DDL: the same text runs on SQLite and PostgreSQL.
-- Ids are UUIDv7 text made in code, times are milliseconds since the Unix epoch.

-- Facts of the whole installation: the owner, the open claim code's hash.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- What the operator said of people, whatever the configuration says of them.
CREATE TABLE people (
    user_id BIGINT PRIMARY KEY,
    -- granted, revoked
    word TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- Chats of people who may use the bot; those of strangers are not stored.
CREATE TABLE chats (
    id BIGINT PRIMARY KEY,
    -- Names the chat in events; a group that moves keeps it.
    inner_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    -- Language of the person who wrote last.
    language TEXT,
    -- IANA name of the time zone in which times are shown and daily mutes are meant; UTC where it is not set.
    zone TEXT,
    -- False after a refusal (400, 403): nothing is sent before try_at, unless somebody writes there.
    reachable BOOLEAN NOT NULL,
    -- How often in a row it refused what it was sent, and when it is looked at again.
    refused BIGINT NOT NULL DEFAULT 0,
    try_at BIGINT,
    -- When the newest message about alerts, and about their end, goes or went out: the next one keeps a distance.
    alerted_at BIGINT,
    recovered_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    -- Thumbprint of agent_key: the keyid of its signatures.
    key_id TEXT NOT NULL UNIQUE,
    -- App-specific hash of the machine id.
    machine TEXT NOT NULL,
    -- As the host said at pairing, and the address it called from.
    os TEXT NOT NULL,
    address TEXT NOT NULL,
    -- Highest seq of a command; taken by UPDATE, so that commit order is seq order.
    last_seq BIGINT NOT NULL,
    suspended BOOLEAN NOT NULL,
    paired_at BIGINT NOT NULL,
    -- Whose token paired it; NULL: the operator moved it here.
    paired_by BIGINT,
    -- The topic of a forum group in which it was paired: its cards and alerts go there.
    topic BIGINT,
    -- When its host was paired anew elsewhere: its key is no longer believed, its history stays.
    unpaired_at BIGINT
);
CREATE INDEX servers_chat ON servers (chat_id, name);

-- Keys of removed servers, so that their agents learn that they were removed.
CREATE TABLE removed_keys (
    key_id TEXT PRIMARY KEY,
    -- Only its holder is told that the server was removed.
    agent_key TEXT NOT NULL,
    removed_at BIGINT NOT NULL
);

-- The newest report of each server.
CREATE TABLE server_states (
    server_id TEXT PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    interval_s BIGINT NOT NULL,
    address TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    boot TEXT NOT NULL,
    previous_boot TEXT NOT NULL,
    report TEXT NOT NULL
);

-- Figures over time, raw.
CREATE TABLE reports (
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    cpu DOUBLE PRECISION,
    memory DOUBLE PRECISION,
    swap DOUBLE PRECISION,
    -- Over five minutes, per CPU.
    load DOUBLE PRECISION,
    -- The fullest filesystem, and the one with the fewest inodes left.
    disk DOUBLE PRECISION,
    inodes DOUBLE PRECISION,
    PRIMARY KEY (server_id, at)
);
CREATE INDEX reports_at ON reports (at);

CREATE TABLE pairings (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- SHA-256 of the token; the token itself is derived again from the id when the message is rendered.
    token_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_by_key TEXT,
    server_id TEXT,
    -- Whether its chat was told that another machine tried it.
    tried_by_other BOOLEAN NOT NULL,
    -- The message that carries the token, and whether it still does.
    message_id TEXT NOT NULL,
    message_open BOOLEAN NOT NULL,
    -- The topic in which it was asked for.
    topic BIGINT
);
CREATE INDEX pairings_open ON pairings (message_open, expires_at);

CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    chat_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    envelope TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- Once it was handed out: when the chat is told that no answer came.
    answer_by BIGINT NOT NULL,
    finished_at BIGINT,
    -- The message that shows its course.
    message_id TEXT NOT NULL,
    UNIQUE (server_id, seq)
);
CREATE INDEX commands_state ON commands (state, expires_at);

CREATE TABLE confirmations (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    actor_name TEXT NOT NULL,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    asks TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- open, confirmed, declined, expired
    state TEXT NOT NULL,
    message_id TEXT NOT NULL
);
CREATE INDEX confirmations_open ON confirmations (state, expires_at);

-- The inbox: parsed updates; the request is erased once handled, the row is kept 48 h against duplicates.
CREATE TABLE updates (
    update_id BIGINT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    request TEXT,
    -- open, done, set-aside
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    -- In what order chats are served: when it came, or a second after the turn of the one before it in its chat.
    turn BIGINT NOT NULL,
    -- The chat that this one becomes: what is asked for there waits for it.
    moves_to BIGINT,
    received_at BIGINT NOT NULL
);
CREATE INDEX updates_open ON updates (state, chat_id, update_id);

-- Messages of ours in chats; telegram_id once Telegram has said it.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    telegram_id BIGINT,
    -- The topic of a forum group that it is for; none: General, or no forum.
    topic BIGINT,
    -- When Telegram first took it: before that nobody has heard of what it tells.
    told_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX messages_telegram ON messages (chat_id, telegram_id);
CREATE INDEX messages_created ON messages (created_at);

-- The outbox: what a message is to show. A row stands for a message, not for a call: later notices replace earlier ones,
-- and `version` tells the sender that the row changed while it was sending.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    message_id TEXT UNIQUE,
    -- For answers to taps, which belong to no message.
    callback_id TEXT,
    content TEXT NOT NULL,
    urgency SMALLINT NOT NULL,
    version BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- Until it is on its way, a new message takes in more of its kind: alerts, servers that are offline, recoveries, reminders.
    gathers TEXT,
    -- Not to be sent before, so that more can gather.
    hold_until BIGINT,
    -- How often Telegram refused it (400, 403); what was refused lets the others of its chat go first.
    refused BIGINT NOT NULL DEFAULT 0,
    -- Not to be tried before, where it is refused and others of its chat are taken.
    try_at BIGINT,
    -- Telegram took it without its markup; once more it is shown with it.
    shown_plain BOOLEAN NOT NULL DEFAULT FALSE,
    -- Its topic is gone or closed: it goes to General.
    in_general BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (chat_id, urgency, id);

-- Limits that differ from the defaults, of a chat (no server_id) or of one server.
CREATE TABLE thresholds (
    chat_id BIGINT NOT NULL,
    server_id TEXT REFERENCES servers (id) ON DELETE CASCADE,
    rule TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    limit_value DOUBLE PRECISION NOT NULL,
    lower_value DOUBLE PRECISION NOT NULL,
    hold BIGINT NOT NULL,
    severity TEXT NOT NULL
);
-- Two, since a NULL is never the same as another.
CREATE UNIQUE INDEX thresholds_chat ON thresholds (chat_id, rule) WHERE server_id IS NULL;
CREATE UNIQUE INDEX thresholds_server ON thresholds (chat_id, server_id, rule) WHERE server_id IS NOT NULL;

-- Figures that are not plainly well: rising, firing. What is well has no row.
CREATE TABLE watches (
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    rule TEXT NOT NULL,
    -- The mount point or unit; empty for what a server has one of.
    subject TEXT NOT NULL,
    at BIGINT NOT NULL,
    above_since BIGINT,
    below_since BIGINT,
    firing BOOLEAN NOT NULL,
    PRIMARY KEY (server_id, rule, subject)
);

-- Alerts, from firing to their end.
CREATE TABLE incidents (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    limit_value DOUBLE PRECISION NOT NULL,
    lower_value DOUBLE PRECISION NOT NULL,
    hold BIGINT NOT NULL,
    -- The figure that fired.
    value DOUBLE PRECISION NOT NULL,
    -- The biggest processes at that moment, where the host tells.
    processes TEXT NOT NULL,
    -- Since when it holds, and when that was long enough.
    since BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    -- How often it fired: more than once within an hour is one incident that flaps.
    times BIGINT NOT NULL,
    -- A flapping one: since when it has been well, and when it is over if it stays so.
    quiet_since BIGINT,
    calm_at BIGINT,
    resolved_at BIGINT,
    acked_by TEXT,
    snoozed_until BIGINT,
    remind_at BIGINT,
    reminders BIGINT NOT NULL,
    -- The message that shows it; none while it is muted. Several may share one.
    message_id TEXT,
    -- What was told of its end: not-yet, never (nobody is to be told), told; and the message that told it.
    end_told TEXT NOT NULL,
    recovery_id TEXT
);
CREATE INDEX incidents_server ON incidents (server_id, rule, subject, opened_at);
CREATE INDEX incidents_message ON incidents (message_id);
CREATE INDEX incidents_recovery ON incidents (recovery_id);
CREATE INDEX incidents_open ON incidents (resolved_at, chat_id);
CREATE INDEX incidents_untold ON incidents (resolved_at) WHERE end_told = 'not-yet' AND message_id IS NOT NULL;
-- Two instances that judge the same report do not open it twice.
CREATE UNIQUE INDEX incidents_one_open ON incidents (server_id, rule, subject) WHERE resolved_at IS NULL;

-- When a chat (no server_id) or a server makes no sound.
CREATE TABLE mutes (
    id TEXT PRIMARY KEY,
    chat_id BIGINT NOT NULL,
    server_id TEXT REFERENCES servers (id) ON DELETE CASCADE,
    -- Either until a time, or daily between two minutes of the day in the chat's time zone.
    until BIGINT,
    from_minute BIGINT,
    to_minute BIGINT,
    created_by TEXT NOT NULL
);
CREATE INDEX mutes_chat ON mutes (chat_id);

-- Roles that only one instance may hold: sending, polling, judging silence, numbering events, housekeeping.
CREATE TABLE leases (
    role TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What happened, once each. Nothing here goes with a removed server or a chat that moved.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    -- Given after the commit, by one instance: readers go by it, since a lower id can become visible after a higher one.
    number BIGINT UNIQUE,
    -- The chat's inner id; none: for the owner and the operator.
    chat TEXT,
    server_id TEXT,
    server_name TEXT,
    kind TEXT NOT NULL,
    -- Who did it, and what is to be known of it: JSON.
    actor TEXT NOT NULL,
    data TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- SHA-256 of all of the above but the number.
    hash TEXT NOT NULL
);
CREATE INDEX events_unnumbered ON events (id) WHERE number IS NULL;
CREATE INDEX events_chat ON events (chat, number);
CREATE INDEX events_server ON events (server_id, number);
CREATE INDEX events_at ON events (at);
