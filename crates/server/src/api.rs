//! `/api/v1`: what the console does, for programs.
//!
//! Each address is a row of the same table as the pages', and its handler says beside itself what it takes and answers, from which the document at
//! `/api/v1/openapi.json` is made. Who calls shows an API token; cookies count for nothing here (docs/adr/0014-the-interface-to-programs.md). Handlers
//! are handed the same [`crate::Signed`] as pages are. The shapes here are the interface's own: a change of the catalog's rows changes none of them unseen.

pub(crate) mod accounts;
pub(crate) mod answer;
pub(crate) mod audit;
pub(crate) mod connections;
pub(crate) mod document;
pub(crate) mod failures;
pub(crate) mod organization;
pub(crate) mod points;
pub(crate) mod restores;
pub(crate) mod runs;
pub(crate) mod settings;
pub(crate) mod tasks;
pub(crate) mod users;
pub(crate) mod words;
