-- +goose Up
CREATE TABLE requests (
    time              TEXT    NOT NULL,
    log_id            TEXT    NOT NULL,
    seq               INTEGER NOT NULL,
    request_id        TEXT    NOT NULL,
    impersonation_id  TEXT    NOT NULL,
    impersonation_seq INTEGER NOT NULL,
    actor_id          TEXT    NOT NULL,
    actor_username    TEXT    NOT NULL,
    actor_name        TEXT    NOT NULL,
    target_id         TEXT    NOT NULL,
    target_username   TEXT    NOT NULL,
    target_name       TEXT    NOT NULL,
    mode              TEXT    NOT NULL,
    client_ip         TEXT    NOT NULL,
    user_agent        TEXT    NOT NULL,
    method            TEXT    NOT NULL,
    scheme            TEXT    NOT NULL,
    host              TEXT    NOT NULL,
    path              TEXT    NOT NULL,
    query             TEXT    NOT NULL,
    action            TEXT    NOT NULL,
    status            INTEGER NOT NULL,
    outcome           TEXT    NOT NULL,
    refusal           TEXT    NOT NULL,
    banner            TEXT    NOT NULL,
    duration_us       INTEGER NOT NULL,
    request_bytes     INTEGER NOT NULL,
    response_bytes    INTEGER NOT NULL,
    content_type      TEXT    NOT NULL,
    leaf_hash         BLOB    NOT NULL,
    PRIMARY KEY (log_id, seq)
) STRICT;
CREATE INDEX requests_by_time ON requests (time);
CREATE INDEX requests_by_impersonation ON requests (impersonation_id, impersonation_seq);
CREATE INDEX requests_by_actor ON requests (actor_username, time);
CREATE INDEX requests_by_target ON requests (target_username, time);

CREATE TABLE events (
    time             TEXT    NOT NULL,
    log_id           TEXT    NOT NULL,
    seq              INTEGER NOT NULL,
    type             TEXT    NOT NULL,
    impersonation_id TEXT    NOT NULL,
    actor_id         TEXT    NOT NULL,
    actor_username   TEXT    NOT NULL,
    target_id        TEXT    NOT NULL,
    target_username  TEXT    NOT NULL,
    client_ip        TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    ticket           TEXT    NOT NULL,
    detail           TEXT    NOT NULL,
    actor_name       TEXT    NOT NULL,
    target_name      TEXT    NOT NULL,
    mode             TEXT    NOT NULL,
    leaf_hash        BLOB    NOT NULL,
    PRIMARY KEY (log_id, seq)
) STRICT;
CREATE INDEX events_by_time ON events (time);
CREATE INDEX events_by_type ON events (type, time);
CREATE INDEX events_by_impersonation ON events (impersonation_id);

CREATE TABLE checkpoints (
    time      TEXT    NOT NULL,
    log_id    TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    root_hash BLOB    NOT NULL,
    note      TEXT    NOT NULL,
    PRIMARY KEY (log_id, size, time)
) STRICT;

-- One line a person can read for each request.
CREATE VIEW actions AS
SELECT
    time, log_id, seq, request_id, impersonation_id,
    actor_id, actor_username, actor_name, target_id, target_username, target_name,
    action, method, path, status, outcome,
    coalesce(nullif(actor_name, ''), nullif(actor_username, ''), actor_id)
        || CASE WHEN impersonation_id = '' THEN ''
           ELSE ' (impersonating ' || coalesce(nullif(target_name, ''), nullif(target_username, ''), target_id) || ')' END
        || ': '
        || CASE WHEN action <> '' THEN action ELSE method || ' ' || path END
        || CASE
           WHEN outcome = 'refused' AND refusal <> '' THEN ' (refused: ' || refusal || ')'
           WHEN outcome <> 'completed' THEN ' (' || outcome || ')'
           WHEN status >= 400 THEN ' (status ' || status || ')'
           ELSE '' END AS line
FROM requests;

-- One row for each impersonation: who, whom, why, when, how it ended, and how much was done.
CREATE VIEW impersonations AS
SELECT
    s.impersonation_id, s.actor_id, s.actor_username, s.actor_name, s.target_id, s.target_username, s.target_name,
    s.reason, s.ticket, s.mode,
    CASE WHEN json_valid(s.detail) THEN coalesce(json_extract(s.detail, '$.policy'), '') ELSE '' END AS policy,
    s.time AS started,
    e.time AS ended,
    CASE WHEN e.detail IS NULL THEN '' WHEN json_valid(e.detail) THEN coalesce(json_extract(e.detail, '$.cause'), '') ELSE e.detail END AS end_cause,
    CASE WHEN json_valid(e.detail) THEN coalesce(json_extract(e.detail, '$.by'), '') ELSE '' END AS ended_by,
    (SELECT count(*) FROM requests r WHERE r.impersonation_id = s.impersonation_id) AS requests,
    (SELECT count(*) FROM requests r WHERE r.impersonation_id = s.impersonation_id
        AND r.method NOT IN ('GET', 'HEAD', 'OPTIONS', 'TRACE') AND r.outcome <> 'refused') AS writes,
    (SELECT count(*) FROM requests r WHERE r.impersonation_id = s.impersonation_id AND r.outcome = 'refused') AS refusals
FROM (SELECT *, min(time) FROM events WHERE type = 'impersonation_started' AND impersonation_id <> '' GROUP BY impersonation_id) s
LEFT JOIN (SELECT impersonation_id, detail, min(time) AS time FROM events WHERE type = 'impersonation_ended' GROUP BY impersonation_id) e
    ON e.impersonation_id = s.impersonation_id;
