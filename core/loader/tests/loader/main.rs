//! Every refusal of the loading pipeline, by its code and its message; what passes, and what is said about it.
#![allow(clippy::unwrap_used)]

mod build;
mod cache;
mod list;
mod permissions;
mod place;
mod policy;
mod probe;
