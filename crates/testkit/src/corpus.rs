//! The kept corpus of the fuzz targets, which the ordinary tests repeat: what was once found stays found without a fuzzer.

use crate::surroundings;

/// A fuzz target, and what must hold for each of its inputs.
type Check<'a> = (&'a str, fn(&[u8]));

/// Calls each check with every kept input of its fuzz target.
///
/// # Panics
/// When a target has no corpus, or a check panics.
pub fn repeat(checks: &[Check<'_>]) {
    for (target, check) in checks {
        let folder = surroundings::workspace().join("fuzz/corpus").join(target);
        let files = std::fs::read_dir(folder).expect("there is a corpus");
        let inputs = files.map(|file| std::fs::read(file?.path()));
        let inputs: Result<Vec<_>, _> = inputs.collect();
        let inputs = inputs.expect("it can be read");
        assert!(!inputs.is_empty(), "{target} has no corpus");
        inputs.iter().for_each(|input| check(input));
    }
}
