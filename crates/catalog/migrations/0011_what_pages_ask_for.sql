-- A run's jobs that are over, the latest first.
CREATE INDEX jobs_by_end ON jobs (run_id, finished_at DESC, id);

-- All that a list of accounts is narrowed by, sorted by and counted from: it is found and counted in this index alone, and only the rows that are shown are
-- read. It takes the place of an index for each order, of which none was of use when the list was narrowed.
CREATE INDEX accounts_at_a_glance ON accounts (organization_id, task_id, name_folded, id, address_folded, status, last_result, last_attempt_at, last_success_at,
    items, size_bytes, failures);
DROP INDEX accounts_by_name;
DROP INDEX accounts_by_address;
DROP INDEX accounts_by_status;
DROP INDEX accounts_by_result;
DROP INDEX accounts_by_success;
DROP INDEX accounts_by_size;
