//! One module for each page, named as in the navigation.

pub(crate) mod home;
pub(crate) mod sign_in;
