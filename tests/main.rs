//! One test binary for what crosses rooms.
#![allow(clippy::unwrap_used)]

mod augment;
mod bad_input;
mod bad_plugins;
mod chain;
mod conformance;
mod conformance_c;
mod crash;
mod data_images;
mod data_labels;
mod data_real;
mod data_verbs;
mod debugger;
mod docs;
mod docs_fields;
mod evolution;
mod examples;
mod forward;
mod golden;
mod kinds;
mod kit;
mod lean;
mod loader;
mod loss;
mod memory;
mod optimizer;
mod pictures;
mod plugin_files;
mod plugin_line;
mod plugin_new;
mod project;
mod run;
mod schedule;
mod tidy;
mod trajectory;
