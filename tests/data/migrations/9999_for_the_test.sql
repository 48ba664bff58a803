-- What the next migration may well be: a column and an index in tables that have rows.
ALTER TABLE servers ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE reports ADD COLUMN processes BIGINT;
CREATE INDEX servers_note ON servers (note);
