//! Unit tests of the kit itself.

mod bench;
mod methods;
mod operators;
mod registered;
