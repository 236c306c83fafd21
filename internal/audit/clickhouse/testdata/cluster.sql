-- version 0: database impersonate
CREATE DATABASE IF NOT EXISTS `impersonate` ON CLUSTER `main`;

-- version 0: table schema_versions
CREATE TABLE IF NOT EXISTS `impersonate`.schema_versions ON CLUSTER `main`
(
    version    UInt32,
    applied_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/impersonate/schema_versions', '{shard}-{replica}')
ORDER BY version
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000, fsync_after_insert = 1, fsync_part_directory = 1;

-- version 1: table requests_local
CREATE TABLE IF NOT EXISTS `impersonate`.requests_local ON CLUSTER `main`
(
    time              DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    log_id            LowCardinality(String) CODEC(ZSTD(1)),
    seq               UInt64 CODEC(Delta(8), ZSTD(1)),
    request_id        String CODEC(ZSTD(1)),
    impersonation_id  String CODEC(ZSTD(1)),
    impersonation_seq UInt64 CODEC(Delta(8), ZSTD(1)),
    actor_id          LowCardinality(String) CODEC(ZSTD(1)),
    actor_username    LowCardinality(String) CODEC(ZSTD(1)),
    actor_name        LowCardinality(String) CODEC(ZSTD(1)),
    target_id         LowCardinality(String) CODEC(ZSTD(1)),
    target_username   LowCardinality(String) CODEC(ZSTD(1)),
    target_name       LowCardinality(String) CODEC(ZSTD(1)),
    mode              LowCardinality(String) CODEC(ZSTD(1)),
    client_ip         LowCardinality(String) CODEC(ZSTD(1)),
    user_agent        LowCardinality(String) CODEC(ZSTD(1)),
    method            LowCardinality(String) CODEC(ZSTD(1)),
    scheme            LowCardinality(String) CODEC(ZSTD(1)),
    host              LowCardinality(String) CODEC(ZSTD(1)),
    path              String CODEC(ZSTD(3)),
    query             String CODEC(ZSTD(3)),
    action            LowCardinality(String) CODEC(ZSTD(1)),
    status            UInt16 CODEC(ZSTD(1)),
    outcome           LowCardinality(String) CODEC(ZSTD(1)),
    refusal           LowCardinality(String) CODEC(ZSTD(1)),
    banner            LowCardinality(String) CODEC(ZSTD(1)),
    duration_us       UInt64 CODEC(T64, ZSTD(1)),
    request_bytes     UInt64 CODEC(T64, ZSTD(1)),
    response_bytes    UInt64 CODEC(T64, ZSTD(1)),
    content_type      LowCardinality(String) CODEC(ZSTD(1)),
    leaf_hash         FixedString(32) CODEC(NONE),
    INDEX by_impersonation impersonation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_actor actor_username TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_target target_username TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/impersonate/requests_local', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (time, log_id, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000, fsync_after_insert = 1, fsync_part_directory = 1;

-- version 1: table requests
CREATE TABLE IF NOT EXISTS `impersonate`.requests ON CLUSTER `main` AS `impersonate`.requests_local
ENGINE = Distributed(`main`, `impersonate`, requests_local, cityHash64(log_id));

-- version 1: table events_local
CREATE TABLE IF NOT EXISTS `impersonate`.events_local ON CLUSTER `main`
(
    time             DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    log_id           LowCardinality(String) CODEC(ZSTD(1)),
    seq              UInt64 CODEC(Delta(8), ZSTD(1)),
    type             LowCardinality(String) CODEC(ZSTD(1)),
    impersonation_id String CODEC(ZSTD(1)),
    actor_id         LowCardinality(String) CODEC(ZSTD(1)),
    actor_username   LowCardinality(String) CODEC(ZSTD(1)),
    target_id        LowCardinality(String) CODEC(ZSTD(1)),
    target_username  LowCardinality(String) CODEC(ZSTD(1)),
    client_ip        LowCardinality(String) CODEC(ZSTD(1)),
    reason           String CODEC(ZSTD(3)),
    ticket           String CODEC(ZSTD(1)),
    detail           String CODEC(ZSTD(3)),
    actor_name       LowCardinality(String) CODEC(ZSTD(1)),
    target_name      LowCardinality(String) CODEC(ZSTD(1)),
    mode             LowCardinality(String) CODEC(ZSTD(1)),
    leaf_hash        FixedString(32) CODEC(NONE),
    INDEX by_impersonation impersonation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/impersonate/events_local', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (time, log_id, seq)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000, fsync_after_insert = 1, fsync_part_directory = 1;

-- version 1: table events
CREATE TABLE IF NOT EXISTS `impersonate`.events ON CLUSTER `main` AS `impersonate`.events_local
ENGINE = Distributed(`main`, `impersonate`, events_local, cityHash64(log_id));

-- version 1: table checkpoints_local
CREATE TABLE IF NOT EXISTS `impersonate`.checkpoints_local ON CLUSTER `main`
(
    time      DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    log_id    LowCardinality(String) CODEC(ZSTD(1)),
    size      UInt64 CODEC(Delta(8), ZSTD(1)),
    root_hash FixedString(32) CODEC(NONE),
    note      String CODEC(ZSTD(3))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/impersonate/checkpoints_local', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (log_id, size, time)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000, fsync_after_insert = 1, fsync_part_directory = 1;

-- version 1: table checkpoints
CREATE TABLE IF NOT EXISTS `impersonate`.checkpoints ON CLUSTER `main` AS `impersonate`.checkpoints_local
ENGINE = Distributed(`main`, `impersonate`, checkpoints_local, cityHash64(log_id));

-- version 1: view received
CREATE OR REPLACE VIEW `impersonate`.received ON CLUSTER `main`
DEFINER = `default` SQL SECURITY DEFINER
AS SELECT 'requests' AS of, time, log_id, seq FROM `impersonate`.requests
UNION ALL
SELECT 'events' AS of, time, log_id, seq FROM `impersonate`.events
UNION ALL
SELECT 'checkpoints' AS of, time, log_id, size AS seq FROM `impersonate`.checkpoints;

-- version 1: view actions
CREATE OR REPLACE VIEW `impersonate`.actions ON CLUSTER `main`
AS SELECT
    time, log_id, seq, request_id, impersonation_id,
    actor_id, actor_username, actor_name, target_id, target_username, target_name,
    action, method, path, status, outcome,
    concat(
        multiIf(actor_name != '', toString(actor_name), actor_username != '', toString(actor_username), toString(actor_id)),
        if(impersonation_id = '', '', concat(' (impersonating ',
            multiIf(target_name != '', toString(target_name), target_username != '', toString(target_username), toString(target_id)), ')')),
        ': ',
        if(action != '', toString(action), concat(method, ' ', path)),
        multiIf(
            outcome = 'refused' AND refusal != '', concat(' (refused: ', refusal, ')'),
            outcome != 'completed', concat(' (', outcome, ')'),
            status >= 400, concat(' (status ', toString(status), ')'),
            '')
    ) AS line
FROM `impersonate`.requests;

-- version 1: view impersonations
CREATE OR REPLACE VIEW `impersonate`.impersonations ON CLUSTER `main`
AS SELECT
    impersonation_id,
    anyIf(actor_id, start) AS actor_id,
    anyIf(actor_username, start) AS actor_username,
    anyIf(actor_name, start) AS actor_name,
    anyIf(target_id, start) AS target_id,
    anyIf(target_username, start) AS target_username,
    anyIf(target_name, start) AS target_name,
    anyIf(reason, start) AS reason,
    anyIf(ticket, start) AS ticket,
    anyIf(mode, start) AS mode,
    JSONExtractString(anyIf(detail, start), 'policy') AS policy,
    minIf(time, start) AS started,
    if(countIf(end) = 0, NULL, minIf(time, end)) AS ended,
    argMinIf(if(JSONType(detail) = 'Object', JSONExtractString(detail, 'cause'), detail), time, end) AS end_cause,
    JSONExtractString(argMinIf(detail, time, end), 'by') AS ended_by,
    countIf(kind = 'request') AS requests,
    countIf(kind = 'request' AND unsafe AND NOT refused) AS writes,
    countIf(kind = 'request' AND refused) AS refusals
FROM
(
    SELECT
        toString(type) AS kind, type = 'impersonation_started' AS start, type = 'impersonation_ended' AS end,
        time, impersonation_id, actor_id, actor_username, actor_name, target_id, target_username, target_name,
        reason, ticket, mode, detail, 0 AS unsafe, 0 AS refused
    FROM `impersonate`.events
    WHERE type IN ('impersonation_started', 'impersonation_ended')
    UNION ALL
    SELECT
        'request', 0, 0, time, impersonation_id, '', '', '', '', '', '', '', '', '', '',
        method NOT IN ('GET', 'HEAD', 'OPTIONS', 'TRACE'), outcome = 'refused'
    FROM `impersonate`.requests
)
WHERE impersonation_id != ''
GROUP BY impersonation_id
HAVING countIf(start) > 0;

-- version 1: version 1
INSERT INTO `impersonate`.schema_versions (version) SELECT 1;

-- version 2: column fields of requests_local
ALTER TABLE `impersonate`.requests_local ON CLUSTER `main` ADD COLUMN IF NOT EXISTS fields LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) AFTER content_type;

-- version 2: column fields of requests
ALTER TABLE `impersonate`.requests ON CLUSTER `main` ADD COLUMN IF NOT EXISTS fields LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) AFTER content_type;

-- version 2: version 2
INSERT INTO `impersonate`.schema_versions (version) SELECT 2;

