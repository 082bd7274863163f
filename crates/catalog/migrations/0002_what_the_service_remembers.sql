-- When the credential that is there was given.
ALTER TABLE connections ADD COLUMN authorized_at BIGINT NOT NULL DEFAULT 0;
UPDATE connections SET authorized_at = created_at;

-- When the task's accounts were last looked for.
ALTER TABLE tasks ADD COLUMN discovered_at BIGINT NOT NULL DEFAULT 0;

-- Since when the account is gone at the source.
ALTER TABLE accounts ADD COLUMN gone_at BIGINT NOT NULL DEFAULT 0;

-- What is due to be backed up.
CREATE INDEX accounts_by_attempt ON accounts (task_id, last_attempt_at, id);

-- An account's jobs, the newest first.
CREATE INDEX jobs_by_account ON jobs (account_id, id);

-- One active job for an account among those that write its repository: a restore only reads it, and need not wait.
DROP INDEX jobs_active;
CREATE UNIQUE INDEX jobs_active ON jobs (account_id) WHERE kind <> 'restore' AND state IN ('queued', 'running', 'paused');
