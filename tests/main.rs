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
mod device;
mod docs;
mod docs_fields;
mod doctor;
mod evolution;
mod examples;
mod forward;
mod golden;
mod kinds;
mod kit;
mod loader;
mod loss;
mod on_device;
mod pictures;
mod plugin_files;
mod plugin_line;
mod plugin_new;
mod project;
mod run;
mod schedule;
mod threads;
mod tidy;
