//! The contract as it is built, held against its pinned layout and against the C header.

mod c_names;
mod c_parser;
mod header;
mod pin;
mod types;
