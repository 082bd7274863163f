//! `cargo xtask clients`: others' clients, unmodified, work with `keepwell emulator` as with Microsoft 365.

use crate::{python::Script, tools};

/// It takes some seconds.
const GRAPH_SDK: Script = Script {
    folder: tools::CLIENTS,
    name: "graph_sdk.py",
    notes: "target/clients",
    at_most: "5m",
    verdict: "Microsoft's SDK for Python cannot work with the emulator",
};

/// Tries them, if everything that is needed is there.
pub(crate) fn run() -> anyhow::Result<()> {
    GRAPH_SDK.run()
}
