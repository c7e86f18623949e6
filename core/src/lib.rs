//! stub
pub mod near;
pub mod registry;
pub mod torch;

pub mod model;

pub mod loss;
