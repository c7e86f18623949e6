//! Components of plugins as ordinary SDK trait objects: the rest of the trainer cannot tell them from built-in ones.

#![allow(unsafe_code)] // calls through the plugin's tables

mod augmentation;
mod exporter;
mod loss;
mod scheduler;

use anyhow::{Result, bail};
use trainer_abi::{AugmentationTable, ExporterTable, LossTable, SchedulerTable};
use trainer_sdk::{Augmentation, Exporter, Loss, Scheduler};

use crate::guest::{Factory, Instance};

/// Makes instances of one component.
#[derive(Clone)]
pub struct LoadedFactory(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Augmentation(Factory<AugmentationTable>),
    Scheduler(Factory<SchedulerTable>),
    Loss(Factory<LossTable>),
    Exporter(Factory<ExporterTable>),
}

impl LoadedFactory {
    /// Makes an augmentation from options as JSON.
    ///
    /// # Errors
    /// If the plugin refuses the options or panics, or this is no augmentation.
    pub fn augmentation(&self, options: &str) -> Result<Box<dyn Augmentation>> {
        let Kind::Augmentation(factory) = &self.0 else { bail!("it is no augmentation") };
        Ok(Box::new(Instance::make(factory, options)?))
    }

    /// Makes a scheduler; as [`augmentation`](Self::augmentation).
    ///
    /// # Errors
    /// As there.
    pub fn scheduler(&self, options: &str) -> Result<Box<dyn Scheduler>> {
        let Kind::Scheduler(factory) = &self.0 else { bail!("it is no scheduler") };
        Ok(Box::new(Instance::make(factory, options)?))
    }

    /// Makes a loss; as [`augmentation`](Self::augmentation).
    ///
    /// # Errors
    /// As there.
    pub fn loss(&self, options: &str) -> Result<Box<dyn Loss>> {
        let Kind::Loss(factory) = &self.0 else { bail!("it is no loss") };
        Ok(Box::new(Instance::make(factory, options)?))
    }

    /// Makes an exporter; as [`augmentation`](Self::augmentation).
    ///
    /// # Errors
    /// As there.
    pub fn exporter(&self, options: &str) -> Result<Box<dyn Exporter>> {
        let Kind::Exporter(factory) = &self.0 else { bail!("it is no exporter") };
        Ok(Box::new(Instance::make(factory, options)?))
    }

    /// Makes an instance of whatever kind it is, and ends it.
    ///
    /// # Errors
    /// If the plugin refuses the options or panics.
    pub fn construct(&self, options: &str) -> Result<()> {
        match &self.0 {
            Kind::Augmentation(factory) => Instance::make(factory, options).map(drop),
            Kind::Scheduler(factory) => Instance::make(factory, options).map(drop),
            Kind::Loss(factory) => Instance::make(factory, options).map(drop),
            Kind::Exporter(factory) => Instance::make(factory, options).map(drop),
        }
    }
}
