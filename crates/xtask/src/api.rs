//! `cargo xtask api`: schemathesis tries what the interface's own document allows and forbids, on the data of `keepwell demo`.

use crate::{python::Script, tools};

/// It takes about half a minute.
const CHECK: Script = Script {
    folder: tools::API,
    name: "check.py",
    notes: "target/api",
    at_most: "5m",
    verdict: "the interface is not what its document says",
};

/// Tries, if everything that is needed is there.
pub(crate) fn run() -> anyhow::Result<()> {
    CHECK.run()
}
