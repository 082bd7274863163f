//! What the process answers with.

use std::process::ExitCode;

use crate::out;

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Everything is as it should be.
    Good,
    /// Something is damaged, missing or different.
    Different,
}

/// 0, 3, or 1 with one line that names the error and its causes.
pub(crate) fn code(outcome: anyhow::Result<Verdict>) -> ExitCode {
    match outcome {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Different) => ExitCode::from(3),
        Err(error) => {
            let chain: Vec<String> = error
                .chain()
                .map(|cause| cause.to_string().replace(['\n', '\r'], " "))
                .collect();
            out::story(&format!("keepwell: {}", chain.join(": ")));
            ExitCode::from(1)
        }
    }
}
