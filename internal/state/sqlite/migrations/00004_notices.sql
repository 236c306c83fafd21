-- +goose Up
CREATE TABLE notices (
	id         TEXT PRIMARY KEY NOT NULL,
	via        TEXT NOT NULL,
	body       BLOB,
	created_at INTEGER NOT NULL,
	due_at     INTEGER NOT NULL,
	attempts   INTEGER NOT NULL,
	error      TEXT NOT NULL,
	sent       INTEGER NOT NULL
) STRICT;
CREATE INDEX notices_due ON notices (via, due_at);

CREATE TABLE bells (
	username         TEXT NOT NULL,
	impersonation_id TEXT NOT NULL,
	created_at       INTEGER NOT NULL,
	told             INTEGER NOT NULL,
	PRIMARY KEY (username, impersonation_id)
) STRICT;

CREATE TABLE locks (
	actor_username   TEXT NOT NULL,
	target_username  TEXT NOT NULL,
	impersonation_id TEXT NOT NULL,
	created_at       INTEGER NOT NULL,
	PRIMARY KEY (actor_username, target_username)
) STRICT;

CREATE TABLE languages (
	username TEXT PRIMARY KEY NOT NULL,
	language TEXT NOT NULL
) STRICT;

ALTER TABLE impersonations ADD COLUMN objected_at INTEGER;
ALTER TABLE impersonations ADD COLUMN reviewed_at INTEGER;
ALTER TABLE impersonations ADD COLUMN reviewed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE impersonations ADD COLUMN review_note TEXT NOT NULL DEFAULT '';
