-- Times are microseconds since 1970, UTC; NULL is the zero time. Lists and maps are JSON; NULL is empty.

-- +goose Up
CREATE TABLE sessions (
	id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
	issuer     TEXT NOT NULL,
	subject    TEXT NOT NULL,
	user_id    TEXT NOT NULL,
	username   TEXT NOT NULL,
	name       TEXT NOT NULL,
	email      TEXT NOT NULL,
	groups     TEXT,
	attributes TEXT,
	sid        TEXT NOT NULL,
	acr        TEXT NOT NULL,
	auth_time  INTEGER,
	created_at INTEGER NOT NULL,
	last_seen  INTEGER NOT NULL,
	sealed     BLOB,
	notice     TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_subject ON sessions (issuer, subject);
CREATE INDEX sessions_sid ON sessions (issuer, sid) WHERE sid <> '';
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_seen ON sessions (last_seen);

-- No foreign key to sessions: a logout deletes the session, the impersonation stays until its end is recorded.
CREATE TABLE impersonations (
	id              TEXT PRIMARY KEY NOT NULL,
	session         BLOB NOT NULL CHECK (length(session) = 32),
	site            TEXT NOT NULL,
	actor_id        TEXT NOT NULL,
	actor_username  TEXT NOT NULL,
	actor_name      TEXT NOT NULL,
	target_id       TEXT NOT NULL,
	target_username TEXT NOT NULL,
	target_name     TEXT NOT NULL,
	mode            TEXT NOT NULL,
	policy          TEXT NOT NULL,
	reason          TEXT NOT NULL,
	ticket          TEXT NOT NULL,
	return_to       TEXT NOT NULL,
	started_at      INTEGER NOT NULL,
	expires_at      INTEGER,
	idle            INTEGER NOT NULL, -- microseconds
	last_seen       INTEGER,
	ended_at        INTEGER,
	end_cause       TEXT NOT NULL,
	ended_by        TEXT NOT NULL,
	end_recorded    INTEGER NOT NULL
) STRICT;
-- One live impersonation per session: no nesting, whatever the code above does.
CREATE UNIQUE INDEX impersonations_live ON impersonations (session) WHERE ended_at IS NULL;
CREATE INDEX impersonations_unrecorded ON impersonations (ended_at) WHERE ended_at IS NOT NULL AND end_recorded = 0;
CREATE INDEX impersonations_session ON impersonations (session, started_at);
CREATE INDEX impersonations_started ON impersonations (started_at);
CREATE INDEX impersonations_actor ON impersonations (actor_username, started_at);
CREATE INDEX impersonations_target ON impersonations (target_username, started_at);
CREATE INDEX impersonations_ended ON impersonations (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE seen (
	issuer     TEXT NOT NULL,
	subject    TEXT NOT NULL,
	id         TEXT NOT NULL,
	username   TEXT NOT NULL,
	name       TEXT NOT NULL,
	email      TEXT NOT NULL,
	groups     TEXT,
	attributes TEXT,
	first_seen INTEGER,
	last_seen  INTEGER,
	PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX seen_username ON seen (username, issuer, subject);
CREATE INDEX seen_last ON seen (last_seen);

CREATE TABLE jars (
	owner  TEXT NOT NULL,
	host   TEXT NOT NULL,
	sealed BLOB,
	PRIMARY KEY (owner, host)
) STRICT;

CREATE TABLE keys (
	use        TEXT NOT NULL,
	id         TEXT NOT NULL,
	pkcs8      BLOB,
	created_at INTEGER,
	retired_at INTEGER,
	PRIMARY KEY (use, id)
) STRICT;

CREATE TABLE settings (
	name  TEXT PRIMARY KEY NOT NULL,
	value TEXT NOT NULL
) STRICT;
