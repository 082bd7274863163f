//! Which crate may depend on which: the architecture as a table.
//!
//! A new crate or a new edge needs a decision record, and then a line here and one in ARCHITECTURE.md.

/// A crate of the workspace and those of the others that it may use.
pub(crate) struct Edges {
    pub(crate) name: &'static str,
    /// In the product.
    pub(crate) uses: &'static [&'static str],
    /// In its tests besides.
    pub(crate) tests_use: &'static [&'static str],
}

/// What judges the whole from outside may use all of it.
const JUDGES_USE: &[&str] = &[
    "model",
    "repository",
    "graph",
    "workload",
    "engine",
    "emulator",
    "testkit",
];

/// From the bottom upwards.
pub(crate) const EDGES: &[Edges] = &[
    Edges {
        name: "model",
        uses: &[],
        tests_use: &[],
    },
    Edges {
        name: "repository",
        uses: &["model"],
        tests_use: &["testkit"],
    },
    Edges {
        name: "graph",
        uses: &["model"],
        tests_use: &["emulator", "testkit"],
    },
    Edges {
        name: "workload",
        uses: &["model", "repository", "graph"],
        tests_use: &["emulator", "testkit"],
    },
    Edges {
        name: "secrets",
        uses: &[],
        tests_use: &[],
    },
    Edges {
        name: "catalog",
        uses: &["model", "secrets"],
        tests_use: &["testkit"],
    },
    Edges {
        name: "engine",
        uses: &["model", "repository", "graph", "workload"],
        tests_use: &["emulator", "testkit"],
    },
    Edges {
        name: "server",
        uses: &[
            "model", "secrets", "catalog", "graph", "workload", "service",
        ],
        tests_use: &["emulator", "testkit"],
    },
    Edges {
        name: "service",
        uses: &[
            "model",
            "repository",
            "graph",
            "workload",
            "secrets",
            "catalog",
            "engine",
        ],
        tests_use: &["emulator", "testkit"],
    },
    Edges {
        name: "keepwell",
        uses: &[
            "model",
            "repository",
            "graph",
            "workload",
            "engine",
            "secrets",
            "catalog",
            "service",
            "server",
            "emulator",
        ],
        tests_use: &["testkit"],
    },
    // It shares no type with what it tests, so that one misreading of Microsoft's documentation cannot hide in both.
    Edges {
        name: "emulator",
        uses: &[],
        tests_use: &["testkit"],
    },
    Edges {
        name: "testkit",
        uses: &[],
        tests_use: &[],
    },
    Edges {
        name: "trials",
        uses: JUDGES_USE,
        tests_use: &[],
    },
    Edges {
        name: "bench",
        uses: JUDGES_USE,
        tests_use: &[],
    },
    Edges {
        name: "console-bench",
        uses: &[
            "model", "graph", "secrets", "catalog", "service", "server", "emulator", "testkit",
        ],
        tests_use: &[],
    },
    Edges {
        name: "second-opinion",
        uses: &[],
        tests_use: &["model", "repository", "testkit"],
    },
    Edges {
        name: "xtask",
        uses: &[],
        tests_use: &[],
    },
];

/// Dependencies from outside that stay in the crates named; tests may use them anywhere. Heavy ones live in one leaf each, and `anyhow` is for
/// programs and tests, because a library's caller needs to know what it can do about an error.
pub(crate) const QUARANTINED: &[(&str, &[&str])] = &[
    (
        "anyhow",
        &[
            "keepwell",
            "testkit",
            "trials",
            "bench",
            "console-bench",
            "xtask",
        ],
    ),
    ("axum", &["server"]),
    ("hyper", &["emulator"]),
    (
        "object_store",
        &["repository", "testkit", "trials", "bench"],
    ),
    ("reqwest", &["graph"]),
    ("sqlx", &["catalog"]),
];
