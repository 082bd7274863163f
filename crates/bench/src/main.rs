//! How fast the product is and how much memory it takes, beside restic and the hardware's ceiling in the same run.

fn main() {}
