//! The whole product under kills, faults and shortage: what tests within one process cannot show.

fn main() {}
