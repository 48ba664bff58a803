-- Rows in every table, as a backend in use has them; a value in every column of at least one row. The story of migrations
-- (tests/stories/migrations.rs) fills a database with them.

INSERT INTO meta (key, value) VALUES
    ('owner', '1001'),
    ('claim', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08');

INSERT INTO people (user_id, word, since) VALUES
    (1002, 'granted', 1799990000000),
    (1003, 'revoked', 1799990000001);

INSERT INTO chats (id, inner_id, kind, language, zone, reachable, refused, try_at, alerted_at, recovered_at, created_at) VALUES
    (1001, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7e01', 'private', 'en', 'Europe/Berlin', TRUE, 0, NULL, 1800000000000, 1800000060000, 1799990000000),
    (-1001234567890, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7e02', 'group', NULL, NULL, TRUE, 0, NULL, NULL, NULL, 1799990000001),
    (1002, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7e03', 'private', NULL, NULL, FALSE, 3, 1800000020000, NULL, NULL, 1799990000002);

INSERT INTO servers (id, chat_id, name, agent_key, key_id, machine, os, address, last_seq, suspended, paired_at, paired_by, unpaired_at, topic) VALUES
    ('01890a5d-ac96-774b-bcce-b302099a8057', 1001, 'web-1', '7UkoxijRwsbq6QM4kFmVYSlZJzpcY_k2NsFGFKyHN9E',
     'nRIE2VmKdMjL1JD7tbV7fXVgXxmv0GKnMFWRUJMTf9Q', '5f7c1d0e9b8a4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d',
     'Debian GNU/Linux 12 (bookworm)', '203.0.113.7', 1800000000004, FALSE, 1799990000003, 1001, NULL, NULL),
    ('01890a5d-ac96-774b-bcce-b302099a8058', -1001234567890, 'Datenbank »eins«', 'gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q',
     'aVBtapLd11SUVKIMGJfPzOEDuN0sXcmzJQNVT-_sKEU', '0c9d5f7c1d0e9b8a4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b',
     'Fedora Linux 42', '2001:db8::7', 0, TRUE, 1799990000004, NULL, 1799990000005, 42);

INSERT INTO removed_keys (key_id, agent_key, removed_at) VALUES
    ('UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4', 'gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q', 1790000000000),
    ('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k', '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', 1790000000001);

INSERT INTO server_states (server_id, at, received_at, interval_s, address, agent_version, boot, previous_boot, report) VALUES
    ('01890a5d-ac96-774b-bcce-b302099a8057', 1800000000000, 1800000000100, 30, '203.0.113.7', '0.1.0', 'b1', 'b0',
     '{"at":1800000000000,"interval_s":30,"boot":"b1","clock_ahead_ms":0,"host":{"hostname":"web-1","os":"Debian","kernel":"6.1","arch":"x86_64","cpus":4,"uptime_s":60},"disks":[],"systemd":"absent","services":[],"chores":[]}'),
    ('01890a5d-ac96-774b-bcce-b302099a8058', 1800000000001, 1800000000101, 60, '2001:db8::7', '0.1.0', 'b2', '', '{}');

INSERT INTO reports (server_id, at, received_at, cpu, memory, swap, load, disk, inodes) VALUES
    ('01890a5d-ac96-774b-bcce-b302099a8057', 1800000000000, 1800000000100, 12.5, 50.0, 0.0, 0.125, 42.1, 8.4),
    ('01890a5d-ac96-774b-bcce-b302099a8057', 1799999970000, 1799999970100, 0.1, 33.333333333333336, NULL, 99.75, NULL, NULL),
    ('01890a5d-ac96-774b-bcce-b302099a8058', 1800000000001, 1800000000101, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO pairings (id, chat_id, user_id, name, token_hash, created_at, expires_at, used_by_key, server_id, tried_by_other, message_id, message_open, topic) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c01', 1001, 1001, 'web-1', 'fdd4a172aa0be36e003c5122737439db29f7bf8979bfb1d9c7683fc6471a938f',
     1799990000000, 1799990900000, '7UkoxijRwsbq6QM4kFmVYSlZJzpcY_k2NsFGFKyHN9E', '01890a5d-ac96-774b-bcce-b302099a8057',
     TRUE, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c11', FALSE, 42),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c02', 1001, 1001, 'web-2', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
     1800000000000, 1800000900000, NULL, NULL, FALSE, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c12', TRUE, NULL);

INSERT INTO commands (id, server_id, chat_id, seq, action, state, reason, detail, requested_by, user_id, envelope, created_at, expires_at,
    answer_by, finished_at, message_id) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c03', '01890a5d-ac96-774b-bcce-b302099a8057', 1001, 1800000000003,
     '{"type":"restart-service","unit":"nginx.service"}', 'rejected', '"unit-not-listed"', 'nginx.service', 'Anna (@anna)', 1001, '{}',
     1800000000000, 1800000120000, 1800000240000, 1800000005000, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c13'),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c04', '01890a5d-ac96-774b-bcce-b302099a8057', 1001, 1800000000004,
     '{"type":"reboot"}', 'queued', NULL, '', 'Anna (@anna)', 1001, '{}',
     1800000000000, 1800000060000, 1800000960000, NULL, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c14');

INSERT INTO confirmations (id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c05', 1001, 1001, 'Anna', '01890a5d-ac96-774b-bcce-b302099a8057',
     '{"type":"restart","unit":"nginx.service"}', 1800000060000, 'confirmed', '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c13'),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c06', 1001, 1001, 'Anna', '01890a5d-ac96-774b-bcce-b302099a8057',
     '{"type":"remove"}', 1800000060000, 'open', '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c15');

INSERT INTO updates (update_id, chat_id, request, state, attempts, claimed_until, turn, moves_to, received_at) VALUES
    (845719261, 1001, '{"chat":{"id":1001,"kind":"private"},"actor":{"id":1001,"name":"Anna","language":null},"intent":{"type":"help"},"tap":null}',
     'open', 1, 1800000010000, 1800000001000, NULL, 1800000000000),
    (845719262, 1001, NULL, 'done', 1, 0, 1799999990000, -1001234567891, 1799999990000);

INSERT INTO messages (id, chat_id, telegram_id, topic, told_at, created_at) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c13', 1001, 4711, 42, 1800000000500, 1800000000000),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c14', 1001, NULL, NULL, NULL, 1800000000001);

INSERT INTO outbox (id, chat_id, message_id, callback_id, content, urgency, version, attempts, gathers, hold_until, refused, try_at, shown_plain,
    in_general, created_at) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c07', 1001, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c14', NULL,
     '{"notice":{"type":"alert","message_id":"01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c14"}}', 1, 3, 1, 'alerts', 1800000030000, 2, 1800000060000, TRUE, TRUE, 1800000000000),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c08', 1001, NULL, '4382bfdwdsb323b2d9', '{"toast":"refreshed"}', 0, 0, 0, NULL, NULL, 0, NULL, FALSE, FALSE, 1800000000001);

INSERT INTO thresholds (chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity) VALUES
    (1001, NULL, 'cpu', TRUE, 95.5, 90.25, 600000, 'critical'),
    (1001, '01890a5d-ac96-774b-bcce-b302099a8057', 'load', FALSE, 2.5, 2.0, 900000, 'warning');

INSERT INTO watches (server_id, rule, subject, at, above_since, below_since, firing) VALUES
    ('01890a5d-ac96-774b-bcce-b302099a8057', 'disk', '/srv', 1800000000000, 1799999900000, NULL, TRUE),
    ('01890a5d-ac96-774b-bcce-b302099a8057', 'cpu', '', 1800000000000, NULL, 1799999990000, FALSE);

INSERT INTO incidents (id, chat_id, server_id, rule, subject, severity, limit_value, lower_value, hold, value, processes, since, opened_at,
    times, quiet_since, calm_at, resolved_at, acked_by, snoozed_until, remind_at, reminders, message_id, end_told, recovery_id) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c09', 1001, '01890a5d-ac96-774b-bcce-b302099a8057', 'disk', '/srv', 'critical', 90.0, 85.0, 60000,
     97.5, '[]', 1799999900000, 1799999960000, 1, NULL, NULL, NULL, 'Anna', 1800003600000, 1800000900000, 2,
     '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c14', 'not-yet', NULL),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c0a', 1001, '01890a5d-ac96-774b-bcce-b302099a8057', 'cpu', '', 'warning', 90.0, 85.0, 600000,
     99.0, '[{"name":"mysqld","cpu":187.5,"memory":4294967296}]', 1799990000000, 1799990600000, 3, 1799991000000, 1799993600000,
     1799993600000, NULL, NULL, NULL, 0, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c16', 'told',
     '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c17');

INSERT INTO mutes (id, chat_id, server_id, until, from_minute, to_minute, created_by) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c0b', 1001, NULL, NULL, 1320, 360, 'Anna'),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c0c', 1001, '01890a5d-ac96-774b-bcce-b302099a8057', 1800007200000, NULL, NULL, 'Anna');

INSERT INTO leases (role, holder, expires_at) VALUES
    ('sender', '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c0d', 1800000030000),
    ('housekeeper', '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c0d', 1800000015000);

INSERT INTO events (id, number, chat, server_id, server_name, kind, actor, data, at, hash) VALUES
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7f01', 1, '01a317f0-4c00-7d3e-9c5b-2f6a8e1b7e01', '01890a5d-ac96-774b-bcce-b302099a8057', 'web-1',
     'removed', '{"type":"person","id":1001,"name":"Anna"}', '{"kind":"removed"}', 1800000000000,
     '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'),
    ('01a317f0-4c00-7d3e-9c5b-2f6a8e1b7f02', NULL, NULL, NULL, NULL, 'keys-rotated', '{"type":"operator"}',
     '{"kind":"keys-rotated","version":2}', 1800000000001, 'fdd4a172aa0be36e003c5122737439db29f7bf8979bfb1d9c7683fc6471a938f');
