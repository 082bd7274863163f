-- What a run came to, counted when it is over.
ALTER TABLE runs ADD COLUMN jobs BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN success BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN partial BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN items BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET
    jobs = (SELECT COUNT(*) FROM jobs WHERE run_id = runs.id),
    success = (SELECT COUNT(*) FROM jobs WHERE run_id = runs.id AND result = 'success'),
    partial = (SELECT COUNT(*) FROM jobs WHERE run_id = runs.id AND result = 'partial'),
    failed = (SELECT COUNT(*) FROM jobs WHERE run_id = runs.id AND result = 'failed'),
    cancelled = (SELECT COUNT(*) FROM jobs WHERE run_id = runs.id AND state = 'cancelled'),
    items = (SELECT CAST(COALESCE(SUM(items_done), 0) AS BIGINT) FROM jobs WHERE run_id = runs.id),
    bytes = (SELECT CAST(COALESCE(SUM(bytes_done), 0) AS BIGINT) FROM jobs WHERE run_id = runs.id)
WHERE finished_at > 0;

-- What a task's backups that ended on a day of UTC came to; the day as its number since 1 January 1970.
CREATE TABLE backup_days (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    task_id TEXT NOT NULL REFERENCES tasks (id),
    day BIGINT NOT NULL,
    success BIGINT NOT NULL,
    partial BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (organization_id, task_id, day)
);
INSERT INTO backup_days (organization_id, task_id, day, success, partial, failed)
SELECT runs.organization_id, runs.task_id, jobs.finished_at / 86400000000,
    SUM(CASE jobs.result WHEN 'success' THEN 1 ELSE 0 END), SUM(CASE jobs.result WHEN 'partial' THEN 1 ELSE 0 END), SUM(CASE jobs.result WHEN 'failed' THEN 1 ELSE 0 END)
FROM runs JOIN jobs ON jobs.run_id = runs.id
WHERE jobs.kind = 'backup' AND jobs.state = 'finished'
GROUP BY runs.organization_id, runs.task_id, jobs.finished_at / 86400000000;
