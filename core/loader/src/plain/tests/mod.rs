//! The examples in C, and roots that are wrong: built with the system's compiler, opened and run.

mod augmentation;
mod build;
mod host;
mod loss;
mod root;
