//! The measuring program from outside. A whole run of it, small, is a step of `cargo xtask test`, which needs the program that these tests build.

use std::process::Command;

#[test]
fn a_restic_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--smoke", "--restic", "/nowhere/restic", "--folder"])
        .arg(folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("/nowhere/restic does not start"), "{said}");
}
