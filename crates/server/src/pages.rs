//! One module for each page, named as in the navigation.

pub(crate) mod connection;
pub(crate) mod home;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod sign_up;
pub(crate) mod wizard;
