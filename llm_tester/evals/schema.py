"""The tables of the ledger. A migration is never changed once released; a new one is added after it."""

from __future__ import annotations

_FIRST = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT,
    project TEXT NOT NULL,
    status TEXT NOT NULL,
    seed INTEGER NOT NULL,
    epochs INTEGER NOT NULL,
    settings TEXT NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    owner TEXT,
    lease_until REAL
);
CREATE TABLE tasks (
    task INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    hash TEXT NOT NULL,
    spec TEXT NOT NULL,
    samples_hash TEXT NOT NULL,
    samples_total INTEGER NOT NULL,
    samples_planned INTEGER NOT NULL,
    UNIQUE (run, position)
);
CREATE TABLE prices (
    price INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    priced_on TEXT,
    rates TEXT NOT NULL
);
CREATE TABLE entrants (
    entrant INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    parameters TEXT NOT NULL,
    variant TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    host TEXT NOT NULL,
    price INTEGER NOT NULL REFERENCES prices,
    UNIQUE (run, position)
);
CREATE TABLE samples (
    sample INTEGER PRIMARY KEY,
    content TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    messages TEXT NOT NULL,
    target TEXT NOT NULL,
    source TEXT,
    files TEXT,
    metadata TEXT
);
CREATE TABLE plan (
    run INTEGER NOT NULL REFERENCES runs,
    position INTEGER NOT NULL,
    variant TEXT NOT NULL,
    task INTEGER NOT NULL REFERENCES tasks,
    sample INTEGER NOT NULL REFERENCES samples,
    sample_id TEXT NOT NULL,
    PRIMARY KEY (run, position, variant)
) WITHOUT ROWID;
CREATE TABLE calls (
    call INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL UNIQUE,
    run INTEGER REFERENCES runs,
    entrant INTEGER REFERENCES entrants,
    position INTEGER,
    epoch INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    attempt_group INTEGER NOT NULL,
    state TEXT NOT NULL,
    claimed_at REAL NOT NULL,
    ended_at REAL,
    at_most INTEGER,
    provider TEXT,
    model TEXT,
    project TEXT,
    owner TEXT,
    lease_until REAL,
    remote_ref TEXT
);
CREATE INDEX calls_by_place ON calls (run, entrant, position, epoch, attempt_group);
CREATE TABLE attempts (
    call INTEGER NOT NULL REFERENCES calls,
    number INTEGER NOT NULL,
    provider TEXT,
    model TEXT,
    started_at REAL NOT NULL,
    waited_ms REAL NOT NULL,
    latency_ms REAL,
    status INTEGER,
    error TEXT,
    message TEXT,
    PRIMARY KEY (call, number)
) WITHOUT ROWID;
CREATE TABLE answers (
    call INTEGER PRIMARY KEY REFERENCES calls,
    text TEXT NOT NULL,
    finish_reason TEXT,
    latency_ms REAL,
    usage TEXT NOT NULL,
    raw_usage TEXT,
    inconsistent TEXT,
    cost_complete INTEGER NOT NULL,
    served_provider TEXT,
    served_model TEXT,
    not_applied TEXT,
    cached_from INTEGER REFERENCES calls
);
CREATE TABLE scores (
    call INTEGER NOT NULL REFERENCES calls,
    version INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    value REAL NOT NULL,
    fields TEXT,
    violations TEXT,
    note TEXT,
    PRIMARY KEY (call, version)
) WITHOUT ROWID;
CREATE TABLE costs (
    call INTEGER NOT NULL REFERENCES calls,
    price INTEGER NOT NULL,
    token_class TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER,
    PRIMARY KEY (call, price, token_class)
) WITHOUT ROWID;
CREATE TABLE rollups (
    day TEXT NOT NULL,
    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    token_class TEXT NOT NULL,
    calls INTEGER NOT NULL,
    unknown_calls INTEGER NOT NULL,
    unbounded_calls INTEGER NOT NULL,
    at_most INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER NOT NULL,
    PRIMARY KEY (day, project, provider, model, task, purpose, outcome, token_class)
) WITHOUT ROWID;
CREATE VIEW bought AS
SELECT c.call, date(c.claimed_at, 'unixepoch') AS day, coalesce(c.project, r.project) AS project, e.provider, e.model,
       t.name AS task, c.purpose, c.at_most,
       CASE c.state WHEN 'failed' THEN 'error' WHEN 'unknown' THEN 'unknown' ELSE coalesce(
           (SELECT outcome FROM scores WHERE scores.call = c.call ORDER BY version DESC LIMIT 1), 'unscored')
       END AS outcome,
       c.state = 'unknown' OR coalesce(a.cost_complete, 1) = 0 OR EXISTS (
           SELECT 1 FROM attempts WHERE attempts.call = c.call
               AND error IN ('ProviderTimeoutError', 'BadResponseError')) AS is_unknown
FROM calls c
JOIN runs r ON r.run = c.run
JOIN entrants e ON e.entrant = c.entrant AND e.simulated = 0
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
WHERE c.state IN ('answered', 'failed', 'unknown');
CREATE VIEW bill AS
SELECT call, day, project, provider, model, task, purpose, outcome, '' AS token_class, 1 AS calls,
       is_unknown AS unknown_calls, is_unknown AND at_most IS NULL AS unbounded_calls,
       CASE WHEN is_unknown THEN coalesce(at_most, 0) ELSE 0 END AS at_most, 0 AS tokens, 0 AS picodollars
FROM bought
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, outcome, k.token_class, 0, 0, 0, 0,
       k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN costs k ON k.call = b.call
"""

_COST_OF_ATTEMPTS = """
ALTER TABLE attempts ADD COLUMN usage TEXT;
ALTER TABLE attempts ADD COLUMN cost_complete INTEGER;
UPDATE attempts SET cost_complete = 0 WHERE error IN ('ProviderTimeoutError', 'BadResponseError');
CREATE TABLE attempt_costs (
    call INTEGER NOT NULL REFERENCES calls,
    number INTEGER NOT NULL,
    price INTEGER NOT NULL,
    token_class TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER,
    PRIMARY KEY (call, number, price, token_class)
) WITHOUT ROWID;
DROP VIEW bill;
DROP VIEW bought;
CREATE VIEW bought AS
SELECT c.call, date(c.claimed_at, 'unixepoch') AS day, coalesce(c.project, r.project) AS project, e.provider, e.model,
       t.name AS task, c.purpose, c.at_most,
       CASE c.state WHEN 'failed' THEN 'error' WHEN 'unknown' THEN 'unknown' ELSE coalesce(
           (SELECT outcome FROM scores WHERE scores.call = c.call ORDER BY version DESC LIMIT 1), 'unscored')
       END AS outcome,
       c.state = 'unknown' OR coalesce(a.cost_complete, 1) = 0 OR EXISTS (
           SELECT 1 FROM attempts WHERE attempts.call = c.call AND attempts.cost_complete = 0) AS is_unknown
FROM calls c
JOIN runs r ON r.run = c.run
JOIN entrants e ON e.entrant = c.entrant AND e.simulated = 0
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
WHERE c.state IN ('answered', 'failed', 'unknown');
CREATE VIEW bill AS
SELECT call, day, project, provider, model, task, purpose, outcome, '' AS token_class, 1 AS calls,
       is_unknown AS unknown_calls, is_unknown AND at_most IS NULL AS unbounded_calls,
       CASE WHEN is_unknown THEN coalesce(at_most, 0) ELSE 0 END AS at_most, 0 AS tokens, 0 AS picodollars
FROM bought
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, outcome, k.token_class, 0, 0, 0, 0,
       k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN costs k ON k.call = b.call
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, CASE outcome WHEN 'error' THEN 'error' ELSE 'retried' END,
       k.token_class, 0, 0, 0, 0, k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN attempt_costs k ON k.call = b.call
"""

_RESERVATIONS = """
CREATE TABLE reservations (
    call_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES runs,
    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    amount INTEGER NOT NULL,
    held INTEGER NOT NULL,
    PRIMARY KEY (call_id, number)
) WITHOUT ROWID;
CREATE TRIGGER settled AFTER UPDATE OF state ON calls WHEN new.state IN ('answered', 'failed', 'deferred') BEGIN
    DELETE FROM reservations WHERE call_id = new.call_id;
END;
CREATE TRIGGER lost AFTER UPDATE OF state ON calls
WHEN new.state = 'unknown' AND EXISTS (SELECT 1 FROM reservations WHERE call_id = new.call_id) BEGIN
    UPDATE calls SET at_most = (SELECT sum(amount) FROM reservations WHERE call_id = new.call_id)
    WHERE call = new.call;
    DELETE FROM reservations WHERE call_id = new.call_id;
END;
DROP VIEW bill;
DROP VIEW bought;
CREATE VIEW bought AS
SELECT c.call, date(c.claimed_at, 'unixepoch') AS day, coalesce(c.project, r.project) AS project, e.provider, e.model,
       t.name AS task, c.purpose, c.at_most,
       CASE WHEN c.state = 'failed' THEN 'error' WHEN c.state IN ('unknown', 'deferred') THEN c.state ELSE coalesce(
           (SELECT outcome FROM scores WHERE scores.call = c.call ORDER BY version DESC LIMIT 1), 'unscored')
       END AS outcome,
       (c.state = 'unknown') + (coalesce(a.cost_complete, 1) = 0) + (
           SELECT count(*) FROM attempts WHERE attempts.call = c.call AND attempts.cost_complete = 0) AS unknown
FROM calls c
JOIN runs r ON r.run = c.run
JOIN entrants e ON e.entrant = c.entrant AND e.simulated = 0
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
WHERE c.state IN ('answered', 'failed', 'unknown', 'deferred');
CREATE VIEW bill AS
SELECT call, day, project, provider, model, task, purpose, outcome, '' AS token_class, 1 AS calls,
       unknown > 0 AS unknown_calls, unknown > 0 AND at_most IS NULL AS unbounded_calls,
       unknown * coalesce(at_most, 0) AS at_most, 0 AS tokens, 0 AS picodollars
FROM bought
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, outcome, k.token_class, 0, 0, 0, 0,
       k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN costs k ON k.call = b.call
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, CASE outcome WHEN 'error' THEN 'error' ELSE 'retried' END,
       k.token_class, 0, 0, 0, 0, k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN attempt_costs k ON k.call = b.call
;
DELETE FROM rollups;
INSERT INTO rollups SELECT day, project, provider, model, task, purpose, outcome, token_class, sum(calls),
    sum(unknown_calls), sum(unbounded_calls), sum(at_most), sum(tokens), sum(picodollars)
FROM bill GROUP BY day, project, provider, model, task, purpose, outcome, token_class
"""

# The indices are for the foreign keys: without them each row that is deleted makes SQLite read a whole table. Whoever
# makes the roll-ups again must do so from whole_bill: of deleted runs no other rows are left.
_DELETED_RUNS = """
CREATE TABLE spent_before (
    day TEXT NOT NULL,
    project TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    task TEXT NOT NULL,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    token_class TEXT NOT NULL,
    calls INTEGER NOT NULL,
    unknown_calls INTEGER NOT NULL,
    unbounded_calls INTEGER NOT NULL,
    at_most INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    picodollars INTEGER NOT NULL,
    PRIMARY KEY (day, project, provider, model, task, purpose, outcome, token_class)
) WITHOUT ROWID;
CREATE VIEW whole_bill AS
SELECT day, project, provider, model, task, purpose, outcome, token_class,
       calls, unknown_calls, unbounded_calls, at_most, tokens, picodollars FROM bill
UNION ALL
SELECT day, project, provider, model, task, purpose, outcome, token_class,
       calls, unknown_calls, unbounded_calls, at_most, tokens, picodollars FROM spent_before;
CREATE INDEX plan_by_sample ON plan (sample);
CREATE INDEX answers_by_source ON answers (cached_from) WHERE cached_from IS NOT NULL
"""

# Whoever changes what `bought` or `bill` say of a plain answer changes Ledger.answered and rollups.Account too.
_CHAINS = """
CREATE TABLE links (
    entrant INTEGER NOT NULL REFERENCES entrants,
    position INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    price INTEGER NOT NULL REFERENCES prices,
    PRIMARY KEY (entrant, position)
) WITHOUT ROWID;
CREATE TABLE cache (
    key TEXT PRIMARY KEY,
    call INTEGER NOT NULL REFERENCES calls,
    stored_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX cache_by_call ON cache (call);
DROP TRIGGER lost;
CREATE TRIGGER lost AFTER UPDATE OF state ON calls
WHEN new.state = 'unknown' AND EXISTS (SELECT 1 FROM reservations WHERE call_id = new.call_id) BEGIN
    UPDATE calls SET at_most = (SELECT sum(amount) FROM reservations WHERE call_id = new.call_id),
        provider = (SELECT provider FROM reservations WHERE call_id = new.call_id ORDER BY number DESC LIMIT 1)
    WHERE call = new.call;
    DELETE FROM reservations WHERE call_id = new.call_id;
END;
DROP VIEW bill;
DROP VIEW bought;
CREATE VIEW bought AS
SELECT c.call, date(c.claimed_at, 'unixepoch') AS day, coalesce(c.project, r.project) AS project,
       coalesce(l.provider, c.provider, e.provider) AS provider, coalesce(l.model, e.model) AS model,
       t.name AS task, c.purpose, c.at_most,
       CASE WHEN c.state = 'failed' THEN 'error' WHEN c.state IN ('unknown', 'deferred') THEN c.state ELSE coalesce(
           (SELECT outcome FROM scores WHERE scores.call = c.call ORDER BY version DESC LIMIT 1), 'unscored')
       END AS outcome,
       (c.state = 'unknown') + (coalesce(a.cost_complete, 1) = 0) + (
           SELECT count(*) FROM attempts x WHERE x.call = c.call AND x.cost_complete = 0
               AND x.provider IS l.provider AND x.model IS l.model) AS unknown
FROM calls c
JOIN runs r ON r.run = c.run
JOIN entrants e ON e.entrant = c.entrant AND e.simulated = 0
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
LEFT JOIN attempts l ON l.call = c.call AND l.number = (SELECT max(number) FROM attempts WHERE attempts.call = c.call)
WHERE c.state IN ('answered', 'failed', 'unknown', 'deferred') AND a.cached_from IS NULL;
CREATE VIEW bill AS
SELECT call, day, project, provider, model, task, purpose, outcome, '' AS token_class, 1 AS calls,
       unknown > 0 AS unknown_calls, unknown > 0 AND at_most IS NULL AS unbounded_calls,
       unknown * coalesce(at_most, 0) AS at_most, 0 AS tokens, 0 AS picodollars
FROM bought
UNION ALL
SELECT b.call, day, project, provider, model, task, purpose, outcome, k.token_class, 0, 0, 0, 0,
       k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN costs k ON k.call = b.call
UNION ALL
SELECT b.call, day, project, coalesce(x.provider, b.provider), coalesce(x.model, b.model), task, purpose,
       CASE outcome WHEN 'error' THEN 'error' ELSE 'retried' END, k.token_class, 0, 0, 0, 0,
       k.tokens, coalesce(k.picodollars, 0)
FROM bought b JOIN attempt_costs k ON k.call = b.call JOIN attempts x ON x.call = k.call AND x.number = k.number
UNION ALL
SELECT b.call, day, project, x.provider, x.model, task, purpose,
       CASE outcome WHEN 'error' THEN 'error' ELSE 'retried' END, '', 0, 1, b.at_most IS NULL, coalesce(b.at_most, 0),
       0, 0
FROM bought b JOIN attempts x ON x.call = b.call AND x.cost_complete = 0
WHERE x.provider <> b.provider OR x.model <> b.model
"""

MIGRATIONS = (_FIRST, _COST_OF_ATTEMPTS, _RESERVATIONS, _DELETED_RUNS, _CHAINS)
