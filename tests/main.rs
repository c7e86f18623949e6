//! One test binary for what crosses rooms.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod chain;
mod crash;
mod debugger;
mod evolution;
mod forward;
mod golden;
mod kit;
mod loss;
mod plugin_line;
mod run;
mod schedule;
mod tidy;
