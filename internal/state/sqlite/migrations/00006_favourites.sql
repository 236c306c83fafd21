-- +goose Up
CREATE TABLE favourites (
	actor_username  TEXT NOT NULL,
	target_username TEXT NOT NULL,
	target_id       TEXT NOT NULL,
	created_at      INTEGER NOT NULL,
	PRIMARY KEY (actor_username, target_username)
) STRICT;
