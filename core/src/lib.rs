//! Trainer trains YOLOv12 detectors; augmentation, schedule, loss and export are plugins.
//!
//! A run is one line of stages, each a room of this crate; sockets (⊙) sit on the line, and built-ins take them by the
//! same traits as plugins do:
//!
//! ```text
//! dataset → augment → batch → model → loss → backward → optimizer → ema → validate → checkpoint
//!              ⊙Augmentation            ⊙Loss            ⊙Scheduler
//! ```
//!
//! [`train`] is the page to read first.

pub mod allocator;
pub mod cli;
pub mod config;
mod crash;
mod near;
#[cfg(test)]
mod own_process;
mod process;
pub mod settings;
pub mod threads;

pub mod device;
pub mod registry;
pub mod torch;

pub mod run;
pub mod train;

pub mod data;

pub mod augment;

pub mod batch;
pub mod bench;

pub mod model;
pub mod multi_scale;
pub mod precision;

pub mod loss;
mod means;

pub mod accumulate;
pub mod optimizer;
pub mod schedule;

pub mod ema;

pub mod validate;

pub mod pictures;

pub mod checkpoint;
pub mod progress;
pub mod report;

pub mod doctor;
pub mod export;
pub mod plugin;
mod run_dir;
