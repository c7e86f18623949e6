//! What `trainer-probe` says of a plugin, and what the trainer compares with it.

use serde::{Deserialize, Serialize};

use crate::{LoadedComponent, ProbeFault};

/// What a plugin was when it was tried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Its components, in the order of the manifest.
    pub components: Vec<ProbedComponent>,
    /// Bytes that it wrote to standard output.
    pub printed: u64,
    /// Threads that it left running after its components were constructed.
    pub threads: usize,
}

/// A component that was constructed with its default options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbedComponent {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// The JSON Schema of its options.
    pub schema: serde_json::Value,
}

impl ProbedComponent {
    /// What is compared of a loaded component.
    #[must_use]
    pub fn of(component: &LoadedComponent) -> Self {
        let entry = &component.entry;
        let (kind, name, doc) = (entry.kind.clone(), entry.name.clone(), entry.doc.clone());
        Self { kind, name, doc, schema: component.schema.clone() }
    }
}

impl Probed {
    /// Refuses a library whose components are not those of the probe.
    pub(crate) fn compare(&self, loaded: &[LoadedComponent]) -> Result<(), ProbeFault> {
        let loaded: Vec<_> = loaded.iter().map(ProbedComponent::of).collect();
        if loaded.len() != self.components.len() {
            let what = format!("{} components then, {} now", self.components.len(), loaded.len());
            return Err(ProbeFault::Differs { what });
        }
        match self.components.iter().zip(&loaded).find(|(then, now)| then != now) {
            Some((then, now)) if (&then.kind, &then.name) != (&now.kind, &now.name) => {
                let what = format!("{} {} then, {} {} now", then.kind, then.name, now.kind, now.name);
                Err(ProbeFault::Differs { what })
            }
            Some((then, _)) => Err(ProbeFault::Differs { what: format!("the options of {} {}", then.kind, then.name) }),
            None => Ok(()),
        }
    }

    /// What the user should know of a plugin that loads all the same.
    pub(crate) fn warning(&self, id: &str) -> Option<String> {
        (self.printed > 0).then(|| {
            format!(
                "plugin {id} wrote {} bytes to standard output when it was loaded; it should log instead",
                self.printed
            )
        })
    }
}

/// What `trainer-probe` writes to its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Everything was constructed.
    Ok(Probed),
    /// [`LoadError::Open`](crate::LoadError::Open).
    CannotOpen(String),
    /// [`LoadError::Layout`](crate::LoadError::Layout).
    AbiLayout(String),
    /// [`LoadError::Init`](crate::LoadError::Init).
    InitFailed(String),
    /// A component cannot be constructed.
    Component(String),
}
