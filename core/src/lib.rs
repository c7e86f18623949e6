//! stub
pub mod torch;

pub mod model;
