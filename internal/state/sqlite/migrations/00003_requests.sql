-- +goose Up
ALTER TABLE impersonations ADD COLUMN emergency INTEGER NOT NULL DEFAULT 0;
ALTER TABLE impersonations ADD COLUMN request TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN approved_by TEXT NOT NULL DEFAULT '';

-- Starts that wait for somebody's agreement or a fresh login. actor_username repeats what is in actor, to be found by.
CREATE TABLE requests (
	id              TEXT PRIMARY KEY NOT NULL,
	state           TEXT NOT NULL,
	site            TEXT NOT NULL,
	actor           TEXT NOT NULL, -- JSON
	actor_username  TEXT NOT NULL,
	target_id       TEXT NOT NULL,
	target_username TEXT NOT NULL,
	target_name     TEXT NOT NULL,
	mode            TEXT NOT NULL,
	policy          TEXT NOT NULL,
	reason          TEXT NOT NULL,
	ticket          TEXT NOT NULL,
	duration        INTEGER NOT NULL, -- microseconds
	return_to       TEXT NOT NULL,
	next            TEXT NOT NULL,
	client_ip       TEXT NOT NULL,
	emergency       INTEGER NOT NULL,
	need_approval   INTEGER NOT NULL,
	need_consent    INTEGER NOT NULL,
	created_at      INTEGER NOT NULL,
	expires_at      INTEGER,
	start_by        INTEGER,
	approver        TEXT NOT NULL, -- JSON
	approved_at     INTEGER,
	consented_at    INTEGER,
	closed_by       TEXT NOT NULL,
	note            TEXT NOT NULL,
	closed_at       INTEGER,
	impersonation   TEXT NOT NULL
) STRICT;
CREATE INDEX requests_open ON requests (created_at) WHERE closed_at IS NULL;
CREATE INDEX requests_created ON requests (created_at);
CREATE INDEX requests_actor ON requests (actor_username, created_at);
CREATE INDEX requests_closed ON requests (closed_at) WHERE closed_at IS NOT NULL;
