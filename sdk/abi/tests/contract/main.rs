//! The contract as it is built, held against its pinned layout and against the C header.

#![allow(clippy::unwrap_used)] // a test through and through; clippy only sees functions marked so

mod c_names;
mod c_parser;
mod header;
mod pin;
mod types;
