-- The control plane. One text for SQLite and PostgreSQL.
-- Times are microseconds since 1970 in UTC, 0 is never. FOLDED_TEXT is text that compares bytewise (see dialect.rs).
-- *_sealed holds values that only the keys outside this database open.

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    key_sealed TEXT NOT NULL,
    recovery_key_sealed TEXT NOT NULL,
    kit_taken_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    address_folded FOLDED_TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('administrator', 'operator', 'auditor')),
    password_hash TEXT NOT NULL,
    disabled SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_by_address ON users (address_folded);
CREATE INDEX users_by_organization ON users (organization_id, address_folded);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE connections (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    service TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    tenant_name TEXT NOT NULL,
    client_id TEXT NOT NULL,
    credential_kind TEXT NOT NULL CHECK (credential_kind IN ('certificate', 'secret')),
    credential_sealed TEXT NOT NULL,
    health TEXT NOT NULL CHECK (health IN ('checking', 'connected', 'incomplete', 'disconnected')),
    health_detail TEXT NOT NULL,
    checked_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX connections_by_organization ON connections (organization_id, id);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    connection_id TEXT NOT NULL REFERENCES connections (id),
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded FOLDED_TEXT NOT NULL,
    key_sealed TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX tasks_by_name ON tasks (organization_id, name_folded);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    task_id TEXT NOT NULL REFERENCES tasks (id),
    service TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded FOLDED_TEXT NOT NULL,
    address TEXT NOT NULL,
    address_folded FOLDED_TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('inactive', 'active', 'paused', 'archived')),
    last_result TEXT NOT NULL CHECK (last_result IN ('never run', 'scheduled', 'in progress', 'success', 'partial', 'failed')),
    last_attempt_at BIGINT NOT NULL,
    last_success_at BIGINT NOT NULL,
    snapshot TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    items BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    fencing_token BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_by_source ON accounts (organization_id, service, tenant_id, source_id);
CREATE INDEX accounts_by_name ON accounts (task_id, name_folded, id);
CREATE INDEX accounts_by_address ON accounts (task_id, address_folded, id);
CREATE INDEX accounts_by_status ON accounts (task_id, status, id);
CREATE INDEX accounts_by_result ON accounts (task_id, last_result, id);
CREATE INDEX accounts_by_success ON accounts (task_id, last_success_at, id);
CREATE INDEX accounts_by_size ON accounts (task_id, size_bytes, id);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    task_id TEXT NOT NULL REFERENCES tasks (id),
    cause TEXT NOT NULL CHECK (cause IN ('schedule', 'backup now', 'restore', 'maintenance')),
    wanted TEXT NOT NULL CHECK (wanted IN ('go', 'pause', 'cancel')),
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL
);
CREATE INDEX runs_by_task ON runs (organization_id, task_id, id);
CREATE INDEX runs_unfinished ON runs (finished_at, id);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    run_id TEXT NOT NULL REFERENCES runs (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL CHECK (kind IN ('backup', 'restore', 'verify', 'maintain')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'finished', 'cancelled')),
    priority BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    owner TEXT NOT NULL,
    lease_ends_at BIGINT NOT NULL,
    fencing_token BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('', 'success', 'partial', 'failed')),
    outcome TEXT NOT NULL,
    items_done BIGINT NOT NULL,
    items_total BIGINT NOT NULL,
    bytes_done BIGINT NOT NULL,
    waiting_for TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL
);
-- One active job for an account.
CREATE UNIQUE INDEX jobs_active ON jobs (account_id) WHERE state IN ('queued', 'running', 'paused');
CREATE INDEX jobs_to_claim ON jobs (state, priority, not_before, id);
CREATE INDEX jobs_by_run ON jobs (run_id, state, id);

CREATE TABLE failures (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    item_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_tried_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX failures_by_item ON failures (account_id, item_id);
CREATE INDEX failures_by_cause ON failures (organization_id, cause, id);

CREATE TABLE audit (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    number BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (organization_id, number)
);
