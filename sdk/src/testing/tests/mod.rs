//! Unit tests of the kit itself.

mod bench;
mod operators;
mod registered;
