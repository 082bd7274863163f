-- The runs' jobs are done by turns: see next_turn in runs.rs.
ALTER TABLE jobs ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
DROP INDEX jobs_to_claim;
CREATE INDEX jobs_to_claim ON jobs (state, priority, turn, id);
