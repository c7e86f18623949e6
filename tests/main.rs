//! One test binary for what crosses rooms.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod forward;
mod golden;
mod kit;
mod loss;
mod run;
mod tidy;
