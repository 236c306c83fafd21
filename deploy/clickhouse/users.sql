-- The two users of the audit database: the gateway's, who can add rows and neither read nor change them, and the
-- auditors', who can read and nothing else. Run it once as an administrator, before or after the schema is made:
--
--   clickhouse-client --param_writer_password=… --param_auditor_password=… --queries-file users.sql
--
-- The schema itself is made by an administrator too, whose rights its view "received" then has, through which the
-- writer sees which rows have arrived, but nothing of what they say:
--
--   caddy-impersonate impersonate schema apply --dsn clickhouse://admin:…@ch1:9000/impersonate

CREATE ROLE IF NOT EXISTS impersonate_writer;
GRANT INSERT ON impersonate.requests TO impersonate_writer;
GRANT INSERT ON impersonate.events TO impersonate_writer;
GRANT INSERT ON impersonate.checkpoints TO impersonate_writer;
-- Of a cluster (schema apply --cluster), whose tables of these names are Distributed: what they bring to a shard.
GRANT INSERT ON impersonate.requests_local TO impersonate_writer;
GRANT INSERT ON impersonate.events_local TO impersonate_writer;
GRANT INSERT ON impersonate.checkpoints_local TO impersonate_writer;
GRANT SELECT ON impersonate.schema_versions TO impersonate_writer;
GRANT SELECT ON impersonate.received TO impersonate_writer;

CREATE ROLE IF NOT EXISTS impersonate_auditor SETTINGS readonly = 2;
GRANT SELECT ON impersonate.* TO impersonate_auditor;

CREATE USER IF NOT EXISTS writer IDENTIFIED WITH sha256_password BY {writer_password:String} DEFAULT ROLE impersonate_writer;
CREATE USER IF NOT EXISTS auditor IDENTIFIED WITH sha256_password BY {auditor_password:String} DEFAULT ROLE impersonate_auditor;
GRANT impersonate_writer TO writer;
GRANT impersonate_auditor TO auditor;

-- For the retention, if one is set: who removes what the log says may go. Not the gateway's user, which must not be able
-- to; see docs/auditing.md.
--
--   clickhouse-client --param_maintainer_password=… --query "CREATE USER maintainer IDENTIFIED WITH sha256_password BY {maintainer_password:String} DEFAULT ROLE impersonate_maintainer"
CREATE ROLE IF NOT EXISTS impersonate_maintainer;
GRANT SELECT, ALTER DELETE ON impersonate.requests TO impersonate_maintainer;
GRANT SELECT, ALTER DELETE ON impersonate.events TO impersonate_maintainer;
GRANT SELECT, ALTER DELETE ON impersonate.checkpoints TO impersonate_maintainer;
GRANT SELECT ON impersonate.received TO impersonate_maintainer;
-- Of a cluster: rows are deleted in the tables behind the Distributed ones, on all its servers.
GRANT SELECT, ALTER DELETE ON impersonate.requests_local TO impersonate_maintainer;
GRANT SELECT, ALTER DELETE ON impersonate.events_local TO impersonate_maintainer;
GRANT SELECT, ALTER DELETE ON impersonate.checkpoints_local TO impersonate_maintainer;
GRANT CLUSTER ON *.* TO impersonate_maintainer;
