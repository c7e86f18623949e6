//! `trainer plugin list` and `trainer plugin info`.

use anyhow::{Result, bail};

/// Arguments.
#[derive(clap::Args)]
pub struct ListArgs {}

/// Arguments.
#[derive(clap::Args)]
pub struct InfoArgs {}

pub(super) fn list(_: &ListArgs) -> Result<u8> {
    bail!("`trainer plugin list` is being built")
}

pub(super) fn info(_: &InfoArgs) -> Result<u8> {
    bail!("`trainer plugin info` is being built")
}
