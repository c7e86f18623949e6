//! The check of a whole data set: everything that would be refused or left out, split by split.

use serde::Serialize;

use super::formats::{Format, Problem};
use super::scan::{Report, Unreadable};
use super::yaml::{DataYaml, Split};
use super::{OpenOptions, Survey};

/// What a check found.
#[derive(Debug, Serialize)]
pub struct Check {
    pub format: Format,
    /// The class names.
    pub names: Vec<String>,
    /// Whether training may start.
    pub ok: bool,
    pub splits: Vec<SplitCheck>,
}

/// What a check found in one split.
#[derive(Debug, Serialize)]
pub struct SplitCheck {
    pub split: Split,
    /// Readable images.
    pub images: usize,
    /// Objects that stay.
    pub objects: usize,
    /// Why the split as a whole is refused.
    pub error: Option<String>,
    /// Labels that are refused.
    pub refused: Vec<Problem>,
    /// Images that would be left out.
    pub left_out: Vec<Unreadable>,
    /// What the user should know besides.
    pub warnings: Vec<String>,
}

/// Checks all splits of a data set.
#[must_use]
pub fn check(yaml: &DataYaml, options: &OpenOptions) -> Check {
    let splits: Vec<_> = yaml.splits().map(|split| check_split(yaml, split, options)).collect();
    let ok = splits.iter().all(|split| split.error.is_none() && split.refused.is_empty());
    Check { format: yaml.format, names: yaml.names.clone(), ok, splits }
}

fn check_split(yaml: &DataYaml, split: Split, options: &OpenOptions) -> SplitCheck {
    let (survey, failure) = match Survey::of(yaml, split, options) {
        Ok(survey) => {
            let failure = survey.refuse(yaml).err();
            (survey, failure)
        }
        Err(error) => {
            (Survey { records: Vec::new(), report: Report::new(split, 0), problems: Vec::new() }, Some(error))
        }
    };
    let Survey { mut report, problems, .. } = survey;
    let left_out = std::mem::take(&mut report.unreadable);
    report.files -= left_out.len();
    let error = failure.map(|error| format!("{error:#}"));
    let warnings = report.warnings();
    let (images, objects) = (report.images(), report.objects);
    SplitCheck { split, images, objects, error, refused: problems, left_out, warnings }
}
