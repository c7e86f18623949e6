//! Compares layouts both ways. abi_stable's own check refuses a plugin that is older than the host as soon as a prefix
//! type gained a field; and its report fills pages, of which one line tells what differs.

use trainer_abi::abi_stable::{
    abi_stability::abi_checking::{
        AbiInstability as Fault, AbiInstabilityErrors, ExpectedFound, check_layout_compatibility,
    },
    type_layout::{TLFieldOrFunction, TypeLayout},
};

/// Refuses unless one layout is a prefix of the other: the plugin may be newer than this trainer, or older.
pub(crate) fn compare(ours: &'static TypeLayout, theirs: Option<&'static TypeLayout>) -> Result<(), String> {
    let theirs = theirs.ok_or("it carries no layout")?;
    check_layout_compatibility(ours, theirs)
        .or_else(|faults| check_layout_compatibility(theirs, ours).map_err(|_| faults))
        .map_err(|faults| describe(&faults))
}

/// Where the first difference is, and both sides of it.
fn describe(faults: &AbiInstabilityErrors) -> String {
    let Some(first) = faults.errors.iter().find(|fault| !fault.errs.is_empty()) else {
        return format!("the layout of {} differs", faults.interface.name());
    };
    let step = |step: &ExpectedFound<TLFieldOrFunction>| match &step.expected {
        TLFieldOrFunction::Field(field) => (field.name().to_owned(), Some(field.layout().name())),
        TLFieldOrFunction::Function(function) => (function.name.to_string(), None),
    };
    let steps: Vec<_> = first.stack_trace.iter().map(step).collect();
    let named = steps.first().map_or(String::new(), |(name, _)| format!(".{name}"));
    let inside = steps.iter().rev().find_map(|(_, kind)| *kind).map_or(String::new(), |kind| format!(" ({kind})"));
    let sides = first.errs.iter().take(SHOWN).map(both_sides).collect::<Vec<_>>().join("; ");
    format!("in {}{named}{inside}, {sides}", faults.interface.name())
}

/// Differences of one type that are shown; the further ones mostly follow from these.
const SHOWN: usize = 3;

fn both_sides(fault: &Fault) -> String {
    fn sides<T: std::fmt::Display>(what: &str, it: &ExpectedFound<T>) -> String {
        format!("{what}: {} in this trainer, {} in the plugin", it.expected, it.found)
    }
    match fault {
        Fault::Name(it) => sides("type", it),
        Fault::Package(it) => sides("package", it),
        Fault::PackageVersion(it) => sides("package version", it),
        Fault::Size(it) => sides("size in bytes", it),
        Fault::Alignment(it) => sides("alignment in bytes", it),
        Fault::FieldCountMismatch(it) => sides("number of fields", it),
        Fault::UnexpectedField(it) => {
            format!("field: `{}` in this trainer, `{}` in the plugin", it.expected.name(), it.found.name())
        }
        Fault::MismatchedPrimitive(it) => {
            format!("primitive type: {:?} in this trainer, {:?} in the plugin", it.expected, it.found)
        }
        other => format!("{other:?}"),
    }
}
