//! What the tests of several crates share. A development dependency only: nothing of it is part of the product.
//!
//! * [`shared`] finds the reference data that lies beside the project (corpora, Microsoft's metadata) and is never part of it.
//! * [`restic`] runs stock restic, the judge of every repository that we write.
//! * [`csdl`] judges Graph JSON by Microsoft's own metadata, the judge of every response of the emulator.
//! * [`database`] chooses which database the tests of a whole program work on.
//! * [`postgres`] runs a PostgreSQL server for the tests of a process.
//! * [`corpus`] repeats the kept inputs of the fuzz targets.
//! * [`store`] is storage that writes down what is done to it and that fails or dies on request.
//!
//! Whatever is missing on a person's machine is passed over with a line on standard error; under `CI=true` it fails the test. It depends on no
//! other crate of the workspace, so that a judge cannot share a mistake with what it judges.

pub mod corpus;
pub mod csdl;
pub mod database;
pub mod postgres;
pub mod restic;
pub mod shared;
pub mod store;

mod surroundings;

pub use surroundings::pass_over;
