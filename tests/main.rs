//! One test binary for what crosses rooms.
#![allow(clippy::unwrap_used)]

mod forward;
mod golden;
mod kit;
mod loss;
mod tidy;
