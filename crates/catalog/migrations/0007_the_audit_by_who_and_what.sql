-- The audit by who did something, and by what was done, the latest first.
CREATE INDEX audit_by_actor ON audit (organization_id, actor, number);
CREATE INDEX audit_by_action ON audit (organization_id, action, number);
