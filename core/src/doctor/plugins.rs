//! The plugins that can be found, and those that another one hides.

use serde::Serialize;

use crate::plugin::{Row, Status, found};

/// A summary; `trainer plugin list` has all of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plugins {
    /// Folders that are searched.
    pub search_path: Vec<String>,
    /// Components that would be loaded.
    pub usable: Vec<String>,
    /// Why others would not be: refused, or hidden by a plugin of the same name that is found before them.
    pub unusable: Vec<String>,
}

impl Plugins {
    /// What is on the search path; runs no code of any plugin.
    #[must_use]
    pub fn found() -> Self {
        let (rows, search_path) = found();
        Self { search_path: search_path.iter().map(|path| path.display().to_string()).collect(), ..Self::of(&rows) }
    }

    fn of(rows: &[Row]) -> Self {
        let name = |row: &Row| match (&row.kind, &row.name) {
            (Some(kind), Some(name)) => format!("{kind} {name}"),
            _ => "unknown".to_owned(),
        };
        let mut plugins = Self::default();
        for row in rows {
            match row.status {
                Status::Ok => plugins.usable.push(name(row)),
                _ => plugins.unusable.push(row.reason.clone().unwrap_or_else(|| name(row))),
            }
        }
        plugins.unusable.dedup(); // a file of several components has one reason
        plugins
    }
}
