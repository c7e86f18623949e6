//! Pictures for people: what the network is shown, and what the labels of a data set are like.
//!
//! [`Sheet`](sheet::Sheet) draws batches with their objects, [`labels`] the statistics, and [`RunPictures`] writes both
//! into a run's directory, on threads of its own.

pub mod canvas;
mod colors;
pub mod labels;
mod objects;
pub mod plot;
mod run_pictures;
pub mod sheet;
mod text;

pub use run_pictures::RunPictures;
