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
            out::story(&format!("keepwell: {}", line(&error)));
            ExitCode::from(1)
        }
    }
}

/// The error and its causes in one line. Pictures of a file's place, as parsers draw them below a message, are left out.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let parts: Vec<String> = causes
        .flat_map(|cause| {
            let lines = cause.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !is_drawn(line));
            lines.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    parts.join(": ")
}

/// `3 | key = 1` or `| ^^^`.
fn is_drawn(line: &str) -> bool {
    line.split_once('|')
        .is_some_and(|(margin, _)| margin.trim().bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn an_error_is_one_line() {
        let error =
            anyhow::anyhow!("bad rule at line 3\n  |\n3 | statuss = 3\n  | ^^^\nunknown field\n")
                .context("rules.toml holds no fault rules");
        assert_eq!(
            line(&error),
            "rules.toml holds no fault rules: bad rule at line 3: unknown field"
        );
    }
}
