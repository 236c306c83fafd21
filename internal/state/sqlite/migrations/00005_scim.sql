-- +goose Up
CREATE TABLE scim (
	kind        TEXT NOT NULL,
	id          TEXT NOT NULL,
	name        TEXT NOT NULL,
	body        BLOB NOT NULL,
	version     INTEGER NOT NULL,
	created_at  INTEGER,
	modified_at INTEGER,
	PRIMARY KEY (kind, id)
) STRICT;
CREATE UNIQUE INDEX scim_name ON scim (kind, name);
