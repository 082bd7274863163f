//! The program from outside. What it measures is run by `cargo xtask test`.

use std::process::Command;

#[test]
fn it_says_what_it_understands() {
    let output = Command::new(env!("CARGO_BIN_EXE_console-bench"))
        .arg("--help")
        .output()
        .expect("it was built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("--smoke"),
        "{text}"
    );
}
