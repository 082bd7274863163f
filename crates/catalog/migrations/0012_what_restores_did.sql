-- What became of each item of a restore, those first of which somebody has to know.
CREATE TABLE restored_items (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    job_id TEXT NOT NULL REFERENCES jobs (id),
    number BIGINT NOT NULL,
    item_id TEXT NOT NULL,
    became TEXT NOT NULL CHECK (became IN ('failed', 'not held', 'restored in part', 'left alone', 'restored')),
    cause TEXT NOT NULL,
    code TEXT NOT NULL,
    lost TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
);
