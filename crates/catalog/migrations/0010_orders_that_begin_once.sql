-- By which an order is known again, so that it begins one run however often it comes, and the hash of what was ordered; both empty of other runs.
ALTER TABLE runs ADD COLUMN order_key TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN order_hash TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX runs_by_order ON runs (organization_id, order_key) WHERE order_key <> '';
