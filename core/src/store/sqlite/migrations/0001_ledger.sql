-- The books. Amounts count millionths of a unit, times are microseconds since 1970 (UTC), ids are the 16 bytes of a UUID.
-- The views `ledger` and `balances` show the same in words. Rows of `operations` and `entries` are never changed, except
-- `operations.refunded`; `operations.answer` and `denial`, which are removed after the tenant's retention; and the text about people,
-- which is erased on request: user, operator, reason and metadata of `entries` (then `text_hash` is set), `operations.actor`, and
-- their copies in `grants`, `holds` and `rules`.

CREATE TABLE schema_migrations (
    version INTEGER PRIMARY KEY,
    name    TEXT NOT NULL
) STRICT;

-- One row an accepted command: its idempotency record, audit record and place in the feed.
CREATE TABLE operations (
    position        INTEGER PRIMARY KEY,
    op_id           BLOB    NOT NULL,
    tenant_id       TEXT    NOT NULL,
    account_id      INTEGER,          -- NULL: it books in no account
    subject         TEXT,             -- what it is about then
    kind            TEXT    NOT NULL,
    first_seq       INTEGER NOT NULL,
    entry_count     INTEGER NOT NULL,
    settled_count   INTEGER NOT NULL,
    refunded        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    fingerprint     BLOB    NOT NULL,
    idempotency_key TEXT,
    actor           TEXT,
    request_id      TEXT,
    policy_tag      TEXT,
    band            TEXT,             -- where it took the balance; NULL: it stayed in its band
    answer          TEXT,             -- JSON; empty when it was removed
    denial          TEXT,             -- JSON: the command was refused, and is remembered for that
    alerts          TEXT              -- JSON: what compliance is told
) STRICT;
CREATE UNIQUE INDEX operations_op_id ON operations (op_id);
CREATE INDEX operations_tenant ON operations (tenant_id); -- in the order of the feed
CREATE INDEX operations_subject ON operations (tenant_id, subject) WHERE subject IS NOT NULL; -- likewise
CREATE UNIQUE INDEX operations_idempotency_key ON operations (idempotency_key, tenant_id) WHERE idempotency_key IS NOT NULL;
CREATE INDEX operations_alerts ON operations (position) WHERE alerts IS NOT NULL;

-- One row a line of the ledger. `entry_row` ascends in the order of booking.
CREATE TABLE entries (
    entry_row     INTEGER PRIMARY KEY,
    position      INTEGER NOT NULL, -- its operation
    tenant_id     TEXT    NOT NULL,
    account_id    INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    ordinal       INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    change        INTEGER NOT NULL,
    frozen_change INTEGER NOT NULL,
    balance_after INTEGER NOT NULL,
    frozen_after  INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    effective_at  INTEGER,          -- NULL: when it was booked
    hash          BLOB    NOT NULL,
    draw          BLOB,             -- for each grant: 16 bytes of id, 1 of type, 8 of millionths, big-endian
    terms         TEXT,             -- JSON
    hold_id       BLOB,
    grant_id      BLOB,
    task_id       TEXT,
    template_id   TEXT,
    app_id        TEXT,
    user_id       TEXT,
    operator      TEXT,
    reason        TEXT,
    metadata      TEXT,             -- JSON
    text_hash     BLOB              -- set when user, operator, reason and metadata are erased
) STRICT;
CREATE UNIQUE INDEX entries_seq ON entries (account_id, seq);
CREATE INDEX entries_task ON entries (tenant_id, task_id, position) WHERE task_id IS NOT NULL;

CREATE TABLE accounts (
    account_id   INTEGER PRIMARY KEY,
    tenant_id    TEXT    NOT NULL,
    owner_kind   INTEGER NOT NULL CHECK (owner_kind IN (0, 1, 2)), -- pool, user, organization
    owner_id     TEXT    NOT NULL,                                 -- empty for the pool
    unit         TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    available    INTEGER NOT NULL,
    frozen       INTEGER NOT NULL CHECK (frozen >= 0),
    issued       INTEGER NOT NULL,
    adjusted_in  INTEGER NOT NULL,
    consumed     INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    forfeited    INTEGER NOT NULL,
    adjusted_out INTEGER NOT NULL,
    open_grants  INTEGER NOT NULL,
    open_holds   INTEGER NOT NULL,
    head         BLOB    NOT NULL,
    last_at      INTEGER NOT NULL,
    hold_due_at  INTEGER,
    due_at       INTEGER,
    credit_limit INTEGER NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),
    owed         INTEGER NOT NULL DEFAULT 0 CHECK (owed >= 0),      -- of the credit limit: consumed, not repaid
    owed_held    INTEGER NOT NULL DEFAULT 0 CHECK (owed_held >= 0), -- of the credit limit: kept by open holds
    low_below    INTEGER,
    low_recovered_from INTEGER,
    band         TEXT    NOT NULL DEFAULT 'normal',
    blocked      INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    rules        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, owner_kind, owner_id, unit),
    CHECK (issued + adjusted_in = available + frozen + consumed + expired + forfeited + adjusted_out)
) STRICT;
CREATE INDEX accounts_due ON accounts (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE grants (
    grant_row         INTEGER PRIMARY KEY,
    grant_id          BLOB    NOT NULL UNIQUE,
    account_id        INTEGER NOT NULL,
    type              TEXT    NOT NULL,
    state             TEXT    NOT NULL,
    amount            INTEGER NOT NULL,
    remaining         INTEGER NOT NULL CHECK (remaining >= 0),
    held              INTEGER NOT NULL CHECK (held >= 0),
    priority          INTEGER NOT NULL,
    effective_at      INTEGER NOT NULL,
    expires_at        INTEGER,
    scope_app_id      TEXT,
    scope_template_id TEXT,
    reissue_of        BLOB,
    recurrence        TEXT, -- JSON: the rule and the period that it is of
    policy_tag        TEXT,
    reason            TEXT,
    metadata          TEXT -- JSON
) STRICT;
CREATE INDEX grants_open ON grants (account_id) WHERE state = 'pending' OR remaining > 0 OR held > 0;

CREATE TABLE holds (
    hold_row     INTEGER PRIMARY KEY,
    hold_id      BLOB    NOT NULL UNIQUE,
    account_id   INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    amount       INTEGER NOT NULL,
    captured     INTEGER NOT NULL CHECK (captured >= 0),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    over_capture TEXT    NOT NULL,
    late_commit  TEXT    NOT NULL,
    draw         BLOB, -- what is frozen now, as in `entries.draw`
    task_id      TEXT,
    template_id  TEXT,
    app_id       TEXT,
    user_id      TEXT,
    scene        TEXT,
    price_basis  TEXT,
    policy_tag   TEXT,
    licence_id   TEXT,
    counted_for  TEXT, -- NULL: no risk controls count it
    quote_id     BLOB  -- the quote that it was made by
) STRICT;
CREATE INDEX holds_frozen ON holds (account_id, expires_at) WHERE state = 'frozen';

CREATE TABLE rules (
    rule_row   INTEGER PRIMARY KEY,
    rule_id    BLOB    NOT NULL UNIQUE,
    account_id INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    next       INTEGER NOT NULL, -- the boundary at which it makes its next instance, and when that is
    next_at    INTEGER NOT NULL,
    terms      TEXT    NOT NULL, -- JSON
    reason     TEXT,
    metadata   TEXT              -- JSON
) STRICT;
CREATE INDEX rules_running ON rules (account_id) WHERE state = 'running';

CREATE TABLE tasks (
    tenant_id TEXT    NOT NULL,
    task_id   TEXT    NOT NULL,
    charges   INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    hold_id   BLOB,
    work      TEXT,    -- JSON: how far the work of a hold is, as it was last said
    PRIMARY KEY (tenant_id, task_id)
) STRICT, WITHOUT ROWID;

-- Tenants and users that were ever blocked.
CREATE TABLE subjects (
    tenant_id  TEXT    NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1)), -- tenant, user
    subject_id TEXT    NOT NULL,                        -- empty for the tenant
    blocked    INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    since      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    tenant_id       TEXT    NOT NULL,
    organization_id TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    role            TEXT,             -- NULL: removed; what was used is not forgotten
    unit            TEXT    NOT NULL, -- of the limit and of what was used
    limit_amount    INTEGER CHECK (limit_amount >= 0),
    limit_per       TEXT,
    day_from        INTEGER NOT NULL,
    day_used        INTEGER NOT NULL CHECK (day_used >= 0),
    month_from      INTEGER NOT NULL,
    month_used      INTEGER NOT NULL CHECK (month_used >= 0),
    last_at         INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, organization_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE licences (
    tenant_id           TEXT    NOT NULL,
    licence_id          TEXT    NOT NULL,
    template_id         TEXT    NOT NULL,
    user_id             TEXT    NOT NULL, -- empty: for any user
    channels            TEXT    NOT NULL, -- JSON
    valid_from          INTEGER,
    valid_until         INTEGER,
    total_quota         INTEGER CHECK (total_quota >= 0), -- NULL: without a limit
    daily_quota         INTEGER CHECK (daily_quota >= 0), -- likewise
    zone                TEXT    NOT NULL,
    required_documents  TEXT    NOT NULL, -- JSON
    submitted_documents TEXT    NOT NULL, -- JSON
    revoked_at          INTEGER,
    policy_tag          TEXT,
    used                INTEGER NOT NULL CHECK (used >= 0),
    reserved            INTEGER NOT NULL CHECK (reserved BETWEEN 0 AND used), -- of these by open holds
    day_from            INTEGER NOT NULL,
    day_until           INTEGER NOT NULL,
    day_used            INTEGER NOT NULL CHECK (day_used BETWEEN 0 AND used),
    last_at             INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, licence_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX licences_template ON licences (tenant_id, template_id, user_id);
CREATE INDEX licences_listed ON licences (tenant_id, template_id, licence_id);

-- One row a use that an open hold reserves.
CREATE TABLE licence_uses (
    hold_id    BLOB    PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    licence_id TEXT    NOT NULL,
    user_id    TEXT,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX licence_uses_due ON licence_uses (tenant_id, licence_id, expires_at);

CREATE TABLE licence_users (
    tenant_id  TEXT    NOT NULL,
    licence_id TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    used       INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (tenant_id, licence_id, user_id)
) STRICT, WITHOUT ROWID;

-- How far those who read events have come: the position of an operation, and the ordinal of an event there.
CREATE TABLE consumers (
    tenant_id TEXT    NOT NULL, -- empty: the host's own, who reads those of all tenants
    name      TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    ordinal   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- What risk controls count of a spender for an app in a unit; without a unit, the requests.
CREATE TABLE risk_counts (
    tenant_id  TEXT    NOT NULL,
    spender    TEXT    NOT NULL, -- `user:<id>` or `pool`
    app_id     TEXT    NOT NULL, -- empty: none is named
    unit       TEXT    NOT NULL, -- empty: requests
    day_from   INTEGER NOT NULL,
    used       INTEGER NOT NULL CHECK (used >= 0),
    count      INTEGER NOT NULL CHECK (count >= 0),
    reserved   INTEGER NOT NULL CHECK (reserved >= 0), -- rows of `risk_uses`
    velocity   TEXT,             -- JSON: where each rule stands
    alerted_at INTEGER,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, spender, app_id, unit)
) STRICT, WITHOUT ROWID;

-- One row for what an open hold reserves of a count.
CREATE TABLE risk_uses (
    hold_id    BLOB    PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    spender    TEXT    NOT NULL,
    app_id     TEXT    NOT NULL,
    unit       TEXT    NOT NULL,
    used       INTEGER NOT NULL CHECK (used >= 0),
    count      INTEGER NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX risk_uses_due ON risk_uses (tenant_id, spender, app_id, unit, expires_at);
-- What was asked or refused, and is no operation. Rows are never changed, except the count of a refusal.
CREATE TABLE audit (
    audit_row   INTEGER PRIMARY KEY, -- ascends in the order of writing
    audit_id    BLOB    NOT NULL,
    tenant_id   TEXT    NOT NULL,
    position    INTEGER NOT NULL,    -- the last operation when it was written
    kind        TEXT    NOT NULL,
    subject     TEXT,
    template_id TEXT,
    actor       TEXT,
    request_id  TEXT,
    policy_tag  TEXT,
    outcome     TEXT    NOT NULL,
    reason_code TEXT,
    created_at  INTEGER NOT NULL,
    op_id       BLOB,                -- the operation that tells compliance
    count       INTEGER NOT NULL CHECK (count > 0),
    details     TEXT    NOT NULL,    -- JSON
    hash        BLOB    NOT NULL     -- of all above but position and count
) STRICT;
CREATE UNIQUE INDEX audit_name ON audit (audit_id, tenant_id);
CREATE INDEX audit_tenant ON audit (tenant_id, position); -- in the order of writing

-- Before 1970 a time is negative: its second is the one before it, and the rest is counted from there.
CREATE VIEW ledger AS
SELECT 'led_' || lower(substr(hex(o.op_id), 1, 8) || '-' || substr(hex(o.op_id), 9, 4) || '-' || substr(hex(o.op_id), 13, 4)
           || '-' || substr(hex(o.op_id), 17, 4) || '-' || substr(hex(o.op_id), 21, 8) || printf('%04x', e.ordinal)) AS ledger_id,
       e.tenant_id,
       CASE a.owner_kind WHEN 0 THEN 'pool' WHEN 1 THEN 'user:' || a.owner_id ELSE 'organization:' || a.owner_id END AS owner,
       a.unit,
       e.seq,
       o.kind AS operation,
       e.kind,
       printf('%s%d.%06d', iif(e.change < 0 AND e.change > -1000000, '-', ''), e.change / 1000000, abs(e.change % 1000000))
           AS change,
       printf('%s%d.%06d', iif(e.frozen_change < 0 AND e.frozen_change > -1000000, '-', ''), e.frozen_change / 1000000,
              abs(e.frozen_change % 1000000)) AS frozen_change,
       printf('%s%d.%06d', iif(e.balance_after < 0 AND e.balance_after > -1000000, '-', ''), e.balance_after / 1000000,
              abs(e.balance_after % 1000000)) AS balance_after,
       printf('%d.%06d', e.frozen_after / 1000000, e.frozen_after % 1000000) AS frozen_after,
       e.task_id, e.template_id, e.app_id, e.user_id, e.operator, e.reason, e.metadata,
       strftime('%Y-%m-%dT%H:%M:%S', coalesce(e.effective_at, e.created_at) / 1000000
           - (coalesce(e.effective_at, e.created_at) % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (coalesce(e.effective_at, e.created_at) % 1000000 + 1000000) % 1000000) AS effective_at,
       strftime('%Y-%m-%dT%H:%M:%S', e.created_at / 1000000 - (e.created_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (e.created_at % 1000000 + 1000000) % 1000000) AS created_at,
       lower(hex(e.hash)) AS hash
FROM entries e JOIN operations o ON o.position = e.position JOIN accounts a ON a.account_id = e.account_id;

CREATE VIEW balances AS
SELECT tenant_id,
       CASE owner_kind WHEN 0 THEN 'pool' WHEN 1 THEN 'user:' || owner_id ELSE 'organization:' || owner_id END AS owner,
       unit,
       printf('%s%d.%06d', iif(available < 0 AND available > -1000000, '-', ''), available / 1000000, abs(available % 1000000))
           AS available,
       printf('%d.%06d', frozen / 1000000, frozen % 1000000) AS frozen,
       printf('%s%d.%06d', iif(consumed < 0 AND consumed > -1000000, '-', ''), consumed / 1000000, abs(consumed % 1000000))
           AS consumed,
       printf('%d.%06d', credit_limit / 1000000, credit_limit % 1000000) AS credit_limit,
       printf('%d.%06d', owed / 1000000, owed % 1000000) AS owed,
       band,
       seq AS entries,
       open_grants,
       open_holds,
       strftime('%Y-%m-%dT%H:%M:%S', last_at / 1000000 - (last_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (last_at % 1000000 + 1000000) % 1000000) AS last_at,
       strftime('%Y-%m-%dT%H:%M:%S', due_at / 1000000 - (due_at % 1000000 < 0), 'unixepoch')
           || printf('.%06dZ', (due_at % 1000000 + 1000000) % 1000000) AS due_at,
       lower(hex(head)) AS head
FROM accounts;
