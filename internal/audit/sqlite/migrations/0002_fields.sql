-- +goose Up
-- Names of what a write sent. Rows that were there before have none, and hash as they did.
ALTER TABLE requests ADD COLUMN fields TEXT NOT NULL DEFAULT '';
