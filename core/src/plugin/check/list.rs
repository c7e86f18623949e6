//! The checks, in order.
//!
//! What only an author can tell is not checked: whether an augmentation of strength 0 changes nothing, how many objects
//! it may add or drop, whether rates depend on the order in which steps are asked (of a schedule without state, check 9
//! sees it), which predictions a gradient should reach (check 10 notes a term that reaches none), and whether a file
//! says in its format what the model holds. Nor are data races looked for beyond what several threads show, nor CUDA.

use anyhow::Result;

use super::{
    augmentation, descriptors, determinism, exporter, failures, instances, loads, loss, options, scheduler, state,
    subject::Subject,
};

/// What a check that did not fail has come to.
pub enum Done {
    Passed,
    /// It passed, and what its author should know.
    Noted(String),
    /// It passed in this process; what came out, step by step, for another process to compare.
    Traced(Vec<u64>),
    /// It does not apply, and why.
    Skipped(String),
}

/// What a check looks at.
pub enum Scope {
    /// The file, before it is loaded.
    File,
    /// The loaded plugin.
    Plugin,
    /// Each component of these kinds.
    Components(&'static [&'static str], fn(&Subject) -> Result<Done>),
}

/// One check.
pub struct Check {
    pub number: u8,
    pub name: &'static str,
    pub scope: Scope,
}

const ALL: &[&str] = &["augmentation", "scheduler", "loss", "exporter"];
const CALLERS: &[&str] = &["augmentation", "loss", "exporter"];
const STEPPING: &[&str] = &["augmentation", "scheduler", "loss"];
const STATEFUL: &[&str] = &["scheduler", "loss", "exporter"];

/// All of them.
pub const CHECKS: [Check; 12] = [
    Check { number: 1, name: "static", scope: Scope::File },
    Check { number: 2, name: "loads", scope: Scope::Components(ALL, loads::check) },
    Check { number: 3, name: "abi", scope: Scope::Plugin },
    Check { number: 4, name: "descriptors", scope: Scope::Components(ALL, descriptors::check) },
    Check { number: 5, name: "options", scope: Scope::Components(ALL, options::check) },
    Check { number: 6, name: "instances", scope: Scope::Components(ALL, instances::check) },
    Check { number: 7, name: "failures", scope: Scope::Components(CALLERS, failures::check) },
    Check { number: 8, name: "determinism", scope: Scope::Components(STEPPING, determinism::check) },
    Check { number: 9, name: "state", scope: Scope::Components(STATEFUL, state::check) },
    Check { number: 10, name: "loss", scope: Scope::Components(&["loss"], loss::check) },
    Check { number: 11, name: "values", scope: Scope::Components(&["scheduler", "augmentation"], values) },
    Check { number: 12, name: "exporter", scope: Scope::Components(&["exporter"], exporter::check) },
];

fn values(subject: &Subject) -> Result<Done> {
    match subject.kind.as_str() {
        "scheduler" => scheduler::check(subject)?,
        _ => augmentation::check(subject)?,
    }
    Ok(Done::Passed)
}

impl Check {
    /// Whether the others are in vain where it refuses the file.
    pub fn decides_loading(&self) -> bool {
        self.number <= 2
    }

    /// Whether it looks at more than the built-in components have.
    pub fn needs_file(&self) -> bool {
        self.number <= 3
    }
}
