//! The components of this library as the host finds them: by number, each with the table of its kind.

use std::{panic::catch_unwind, ptr, sync::OnceLock};

use super::{augmentation, exporter, instance::create, loss, scheduler};
use crate::{
    abi::{
        self, AugmentationTable, ExporterTable, Extension, Factory, LossTable, Opaque, SchedulerTable, Sink, Status,
        Str, abi_stable::StableAbi,
    },
    component::{self, Component, Maker},
};

/// Components that one library may export.
pub const MAX_COMPONENTS: usize = 16;

/// One exported component: its registration, found again by a number known at compile time.
///
/// C functions carry no state, so each component of a library needs its own; `N` is its place in [`component::all`].
struct Exported<const N: usize>;

impl<const N: usize> Exported<N> {
    const AUGMENTATION: AugmentationTable = augmentation::table(Self::create);
    const SCHEDULER: SchedulerTable = scheduler::table(Self::create);
    const LOSS: LossTable = loss::table(Self::create);
    const EXPORTER: ExporterTable = exporter::table(Self::create);

    fn component() -> &'static Component {
        component::all()[N]
    }

    unsafe extern "C" fn schema(out: Sink) {
        // A panic here leaves the sink empty, which the host reports as a missing schema.
        let _ = catch_unwind(|| {
            let text = (Self::component().schema)().to_string();
            // SAFETY: the sink lives for the call.
            unsafe { out.put(text.as_bytes()) };
        });
    }

    unsafe extern "C" fn table(id: Str) -> Extension {
        fn known<T: StableAbi>(table: &'static T) -> Extension {
            Extension { layout: Some(T::LAYOUT), table: ptr::from_ref(table).cast() }
        }
        // SAFETY: the id lives for the call.
        let id = unsafe { id.to_text() };
        match Self::component().maker {
            Maker::Augmentation(_) if id == abi::AUGMENTATION => known(&Self::AUGMENTATION),
            Maker::Scheduler(_) if id == abi::SCHEDULER => known(&Self::SCHEDULER),
            Maker::Loss(_) if id == abi::LOSS => known(&Self::LOSS),
            Maker::Exporter(_) if id == abi::EXPORTER => known(&Self::EXPORTER),
            _ => Extension::NONE,
        }
    }

    /// Only the table of the component's own kind is ever handed out, so the instance is of the type that it expects.
    unsafe extern "C" fn create(options: Str, instance: *mut Opaque, error: Sink) -> Status {
        // SAFETY: the options live for the call; `instance` is the host's to be written.
        unsafe {
            let options = options.to_text();
            match Self::component().maker {
                Maker::Augmentation(make) => create(instance, error, || make(&options)),
                Maker::Scheduler(make) => create(instance, error, || make(&options)),
                Maker::Loss(make) => create(instance, error, || make(&options)),
                Maker::Exporter(make) => create(instance, error, || make(&options)),
            }
        }
    }

    fn factory() -> Factory {
        let component = Self::component();
        Factory {
            kind: Str::new(component.maker.kind()),
            name: Str::new(component.name),
            doc: Str::new(component.doc),
            schema: Self::schema,
            table: Self::table,
        }
    }
}

pub(super) unsafe extern "C" fn factories(count: *mut usize) -> *const Factory {
    static FACTORIES: OnceLock<Vec<Factory>> = OnceLock::new();
    macro_rules! each {
        ($($n:literal)*) => { [$(Exported::<$n>::factory as fn() -> Factory),*] };
    }
    const ALL: [fn() -> Factory; MAX_COMPONENTS] = each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    let list = FACTORIES.get_or_init(|| ALL.iter().take(component::all().len()).map(|make| make()).collect());
    // SAFETY: `count` is the host's to be written.
    unsafe { *count = list.len() };
    list.as_ptr()
}
