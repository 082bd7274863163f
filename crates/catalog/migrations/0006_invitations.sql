-- By what somebody whom an administrator has invited chooses a password, once: the hash of its secret, or nothing; and when it ends.
ALTER TABLE users ADD COLUMN invitation_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN invitation_ends_at BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX users_by_invitation ON users (invitation_hash) WHERE invitation_hash <> '';
