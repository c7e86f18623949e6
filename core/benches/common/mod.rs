//! What the benches share: the files that the workspace's build made, components in both forms, tensors by name.
#![allow(dead_code)] // each bench uses its part

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use trainer_loader::LoadedFactory;
use trainer_sdk::{
    Init, Tensor,
    component::{self, Maker},
    parameter_store::ParameterStore,
    store::{Computation, FieldStore},
};

/// A file that the workspace's build put beside this bench or above it.
pub fn built(name: &str) -> PathBuf {
    let bench = env::current_exe().expect("a process knows its own file");
    let found = bench.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build --release --workspace"))
}

/// The component as it is built into this bench: the plugin's own source, included as a module.
pub fn built_in(kind: &str, name: &str) -> Maker {
    let found = component::all().into_iter().find(|it| it.maker.kind() == kind && it.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} is built into this bench")).maker
}

/// The component in a plugin's file.
pub fn loaded(file: &str, kind: &str, name: &str) -> LoadedFactory {
    trainer::torch::install();
    let path = built(file);
    let components = trainer_loader::open_unchecked(&path).unwrap_or_else(|reason| panic!("{reason}"));
    let found = components.into_iter().find(|it| it.entry.kind == kind && it.entry.name == name);
    found.unwrap_or_else(|| panic!("{file} has no {kind} {name}")).factory
}

/// Tensors that are read and replaced.
pub struct Named(pub Vec<(&'static str, Tensor)>);

impl FieldStore for Named {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn get(&mut self, name: &str) -> Result<Tensor> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, tensor)| tensor.clone()).with_context(|| format!("there is no `{name}`"))
    }

    /// Lets the new tensor go, so that every call sees the same.
    fn set(&mut self, _: &str, _: Tensor) -> Result<()> {
        Ok(())
    }

    fn offer(&mut self, name: &str, _: Computation) -> Result<()> {
        bail!("`{name}` cannot be offered here")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("`{name}` cannot be removed here")
    }
}

/// No trainable parameters.
pub struct NoParameters;

impl ParameterStore for NoParameters {
    fn get(&mut self, name: &str, _: &[i64], _: Init) -> Result<Tensor> {
        bail!("there is no parameter `{name}` here")
    }
}
