//! (story to be written)
fn main() {}
