//! `trainer plugin new`.

use anyhow::{Result, bail};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

pub(super) fn new(_: &Args) -> Result<u8> {
    bail!("`trainer plugin new` is being built")
}
