-- +goose Up
ALTER TABLE impersonations ADD COLUMN extensions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE impersonations ADD COLUMN extended INTEGER NOT NULL DEFAULT 0; -- microseconds
