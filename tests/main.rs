//! One test binary for what crosses rooms.
#![allow(clippy::unwrap_used)]

mod augment;
mod bad_input;
mod chain;
mod conformance;
mod crash;
mod debugger;
mod evolution;
mod forward;
mod golden;
mod kinds;
mod kit;
mod loss;
mod plugin_files;
mod plugin_line;
mod plugin_new;
mod run;
mod schedule;
mod tidy;
