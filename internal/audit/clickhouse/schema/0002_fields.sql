-- Names of what a write sent. An app has few forms, and most requests have none of it. Rows that were there before have
-- none, and hash as they did.
-- name: column fields of requests
ALTER TABLE {database}.requests ADD COLUMN IF NOT EXISTS fields LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) AFTER content_type;
