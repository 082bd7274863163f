-- Discoveries of the task's accounts that have begun: only what the latest finds is noted.
ALTER TABLE tasks ADD COLUMN discovery BIGINT NOT NULL DEFAULT 0;

-- The secret of the account's repository, sealed by the task's key; the data folder has it, too.
ALTER TABLE accounts ADD COLUMN secret_sealed TEXT NOT NULL DEFAULT '';

-- When the backups of an account that is gone at the source were deleted, or began to be.
ALTER TABLE accounts ADD COLUMN deleted_at BIGINT NOT NULL DEFAULT 0;
