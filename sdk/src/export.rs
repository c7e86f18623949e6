//! The plugin's side of the boundary: fills the tables of `trainer-abi` from the traits, catches panics, and writes
//! the manifest. Authors use [`export_plugin!`](crate::export_plugin!) alone.

#![allow(unsafe_code)] // this file and the other ends of the same pointers (fields.rs, tensor.rs) are the boundary

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use abi::{Extension, Factory, Fields, Host, LossTable, Opaque, Sink, Status, Str, Thunk, abi_stable};
use abi_stable::{StableAbi as _, prefix_type::PrefixTypeTrait as _};
use anyhow::{Result, anyhow};

use crate::{
    FieldMap, Loss, LossContext, Predictions, Targets, Tensor, Terms, abi,
    component::{self, Component, Maker},
};

pub use abi_stable::library::{CheckTypeLayout, LibHeader};

/// The compiler that built the SDK, for the manifest.
pub const RUSTC: &str = env!("TRAINER_SDK_RUSTC");
/// The target triple that the SDK was built for, for the manifest.
pub const TARGET: &str = env!("TRAINER_SDK_TARGET");
/// `unwind` or `abort`, for the manifest.
pub const PANIC: &str = if cfg!(panic = "unwind") { "unwind" } else { "abort" };

/// A status and its text as a result.
pub(crate) fn status_to_result(status: Status, error: &[u8]) -> Result<()> {
    if status == Status::OK { Ok(()) } else { Err(anyhow!("{}", String::from_utf8_lossy(error))) }
}

thread_local! {
    static PANIC_TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `f`; errors and panics become a status and a text in the sink.
pub(crate) fn guarded(error: Sink, f: impl FnOnce() -> Result<()>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(|| f().map_err(|reason| format!("{reason:#}"))));
    let (status, text) = match outcome {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(text)) => (Status::FAILED, text),
        Err(payload) => (Status::PANICKED, panic_text(&*payload)),
    };
    // SAFETY: the sink lives for the call.
    unsafe { error.put(text.as_bytes()) };
    status
}

/// This library's own panic hook: keeps message and place for [`guarded`] instead of printing them.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = panic_message(info.payload());
            let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
            PANIC_TEXT.with_borrow_mut(|text| *text = format!("panicked{place}: {message}"));
        }));
    });
}

/// What the hook has kept; where it is not in place (in the trainer, in unit tests), the message alone.
fn panic_text(payload: &dyn Any) -> String {
    let kept = PANIC_TEXT.with(RefCell::take);
    if kept.is_empty() { format!("panicked: {}", panic_message(payload)) } else { kept }
}

fn panic_message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

/// An instance behind an opaque handle. After a panic it answers nothing but that.
struct Instance {
    loss: Box<dyn Loss>,
    poisoned: bool,
}

/// Calls into the instance unless it has panicked before.
unsafe fn with_loss(instance: Opaque, error: Sink, f: impl FnOnce(&mut dyn Loss) -> Result<()>) -> Status {
    // SAFETY: the host passes what `create` gave it, on one thread at a time.
    let instance = unsafe { &mut *instance.cast::<Instance>() };
    if instance.poisoned {
        // SAFETY: the sink lives for the call.
        unsafe { error.put(b"panicked in an earlier call") };
        return Status::PANICKED;
    }
    let status = guarded(error, || f(&mut *instance.loss));
    instance.poisoned = status == Status::PANICKED;
    status
}

unsafe fn context<'a>(raw: *const abi::LossContext) -> LossContext<'a> {
    // SAFETY: the host passes a context that lives for the call.
    unsafe {
        let raw = &*raw;
        let image_ids = match raw.num_images {
            0 => &[],
            n => std::slice::from_raw_parts(raw.image_ids, n as usize),
        };
        LossContext {
            epoch: raw.epoch as usize,
            epochs: raw.epochs as usize,
            step: raw.step as usize,
            height: raw.height as usize,
            width: raw.width as usize,
            num_classes: raw.num_classes as usize,
            image_ids,
            predictions: Predictions(FieldMap::from_raw(raw.predictions)),
        }
    }
}

unsafe extern "C" fn targets(instance: Opaque, fields: Fields, at: *const abi::LossContext, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe { with_loss(instance, error, |loss| loss.targets(&mut Targets(FieldMap::from_raw(fields)), &context(at))) }
}

unsafe extern "C" fn terms(
    instance: Opaque,
    terms: Fields,
    predictions: Fields,
    targets: Fields,
    at: *const abi::LossContext,
    error: Sink,
) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        with_loss(instance, error, |loss| {
            loss.terms(
                &mut Terms(FieldMap::from_raw(terms)),
                &Predictions(FieldMap::from_raw(predictions)),
                &Targets(FieldMap::from_raw(targets)),
                &context(at),
            )
        })
    }
}

unsafe extern "C" fn save(instance: Opaque, out: Sink, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        with_loss(instance, error, |loss| {
            out.put(&loss.save()?);
            Ok(())
        })
    }
}

unsafe extern "C" fn load(instance: Opaque, state: Str, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe { with_loss(instance, error, |loss| loss.load(state.as_bytes())) }
}

unsafe extern "C" fn destroy(instance: Opaque) {
    // A panic in a destructor must not unwind into the host; there is nobody to tell.
    // SAFETY: made by `create` below and given back once.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(instance.cast::<Instance>()) })));
}

/// One exported component: its registration, found again by a number known at compile time.
///
/// C functions carry no state, so each component of a library needs its own; `N` is its place in [`component::all`].
struct Exported<const N: usize>;

impl<const N: usize> Exported<N> {
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
        // SAFETY: the id lives for the call.
        let id = unsafe { id.to_text() };
        match Self::component().maker {
            Maker::Loss(_) if id == abi::LOSS => {
                Extension { layout: Some(LossTable::LAYOUT), table: std::ptr::from_ref(&Self::LOSS_TABLE).cast() }
            }
            _ => Extension::NONE,
        }
    }

    const LOSS_TABLE: LossTable = LossTable { create: Self::create_loss, destroy, targets, terms, save, load };

    unsafe extern "C" fn create_loss(options: Str, instance: *mut Opaque, error: Sink) -> Status {
        let status = guarded(error, || {
            let Maker::Loss(make) = Self::component().maker else { return Err(anyhow!("not a loss")) };
            // SAFETY: the options live for the call; `instance` is the host's to be written.
            unsafe {
                let loss = make(&options.to_text())?;
                *instance = Box::into_raw(Box::new(Instance { loss, poisoned: false })).cast();
            }
            Ok(())
        });
        if status == Status::FAILED { Status::OPTIONS } else { status }
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

/// Components that one library may export.
pub const MAX_COMPONENTS: usize = 16;

unsafe extern "C" fn factories(count: *mut usize) -> *const Factory {
    static FACTORIES: std::sync::OnceLock<Vec<Factory>> = std::sync::OnceLock::new();
    macro_rules! table_of {
        ($($n:literal)*) => { [$(Exported::<$n>::factory as fn() -> Factory),*] };
    }
    const ALL: [fn() -> Factory; MAX_COMPONENTS] = table_of!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    let list = FACTORIES.get_or_init(|| ALL.iter().take(component::all().len()).map(|make| make()).collect());
    // SAFETY: `count` is the host's to be written.
    unsafe { *count = list.len() };
    list.as_ptr()
}

unsafe extern "C" fn init(host: *const Host, error: Sink) -> Status {
    keep_panics();
    guarded(error, || {
        // SAFETY: the host lives for the process.
        let host = unsafe { &*host };
        // SAFETY: the host answers an id with that id's table, for the life of the process, or null.
        let tensors = unsafe { (host.table)(Str::new(abi::TENSOR)).cast::<abi::TensorTable>().as_ref() };
        crate::tensor::install(tensors.ok_or_else(|| anyhow!("this trainer does not offer {}", abi::TENSOR))?);
        anyhow::ensure!(
            component::all().len() <= MAX_COMPONENTS,
            "more than {MAX_COMPONENTS} components in one library"
        );
        Ok(())
    })
}

unsafe extern "C" fn get_ext(_id: Str) -> Extension {
    Extension::NONE
}

/// What one library exports; written by [`export_plugin!`](crate::export_plugin!).
pub trait Plugin: 'static {
    /// The manifest's text.
    const MANIFEST: &'static str;
}

/// Builds the root module; abi_stable calls this once, when the library is loaded.
pub extern "C" fn root<P: Plugin>() -> abi_stable::library::RootModuleResult {
    unsafe extern "C" fn meta<P: Plugin>() -> Str {
        Str::new(P::MANIFEST)
    }
    abi_stable::library::__call_root_module_loader(|| {
        abi::Root { meta: meta::<P>, factories, init, get_ext }.leak_into_prefix()
    })
}

/// A boxed computation as a C object.
pub(crate) fn thunk(compute: Box<dyn FnOnce() -> Result<Tensor>>) -> Thunk {
    type State = Option<Box<dyn FnOnce() -> Result<Tensor>>>;
    unsafe extern "C" fn call(state: Opaque, tensor: *mut Opaque, error: Sink) -> Status {
        guarded(error, || {
            // SAFETY: the state made below; `tensor` is the caller's to be written.
            unsafe {
                let compute = (*state.cast::<State>()).take().ok_or_else(|| anyhow!("this was computed before"))?;
                *tensor = compute()?.into_raw();
            }
            Ok(())
        })
    }
    unsafe extern "C" fn destroy(state: Opaque) {
        // SAFETY: the state made below, given back once; a panicking destructor has nobody to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(state.cast::<State>()) })));
    }
    Thunk { state: Box::into_raw(Box::new(Some(compute) as State)).cast(), call, destroy }
}

/// Makes the host's tensor table known to this binary; the trainer calls it for its built-ins and tests.
///
/// # Panics
/// If another table is known already.
///
/// # Safety
/// The table's functions must do as `trainer-abi` says of them.
pub unsafe fn install_tensors(table: &'static abi::TensorTable) {
    crate::tensor::install(table);
}

/// The tensor table that was made known, for plugins that this binary loads.
#[must_use]
pub fn installed_tensors() -> Option<&'static abi::TensorTable> {
    crate::tensor::installed()
}

/// Whether a text can stand in the manifest as it is.
#[must_use]
pub const fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] < 0x20 || bytes[i] == b'"' || bytes[i] == b'\\' {
            return false;
        }
        i += 1;
    }
    true
}

/// Makes a library a plugin: registers its components (see [`component!`](crate::component!)), exports the root
/// module and writes the manifest into the file. Once per library.
#[macro_export]
macro_rules! export_plugin {
    ($kind:ident $name:literal $doc:literal : $type:ty $(, alias $key:literal = $option:literal)*
     $(; $kind2:ident $name2:literal $doc2:literal : $type2:ty $(, alias $key2:literal = $option2:literal)*)* $(;)?) => {
        $crate::component! {
            $kind $name $doc : $type $(, alias $key = $option)*
            $(; $kind2 $name2 $doc2 : $type2 $(, alias $key2 = $option2)*)*
        }

        const _: () = {
            assert!($crate::export::is_plain($doc), "a component's sentence must have no quotes and no line breaks");
            $(assert!($crate::export::is_plain($doc2), "a component's sentence must have no quotes and no line breaks");)*

            const MANIFEST: &str = $crate::constcat::concat!(
                "{\"schema\":1,\"id\":\"", env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                "\",\"license\":\"", env!("CARGO_PKG_LICENSE"),
                "\",\"abi\":\"", $crate::abi::VERSION,
                "\",\"rustc\":\"", $crate::export::RUSTC,
                "\",\"target\":\"", $crate::export::TARGET,
                "\",\"panic\":\"", $crate::export::PANIC,
                "\",\"components\":[",
                $crate::export_plugin!(@component $kind $name $doc $($key $option)*),
                $(",", $crate::export_plugin!(@component $kind2 $name2 $doc2 $($key2 $option2)*),)*
                "]}"
            );

            struct Here;
            impl $crate::export::Plugin for Here {
                const MANIFEST: &'static str = MANIFEST;
            }

            const fn bytes<const N: usize>(text: &str) -> [u8; N] {
                *text.as_bytes().first_chunk().expect("N is the length of the text")
            }
            #[used]
            #[allow(unsafe_code)]
            #[unsafe(link_section = ".trainer.manifest")]
            #[unsafe(export_name = "trainer_manifest")]
            pub static SECTION: [u8; MANIFEST.len()] = bytes(MANIFEST);

            // The name that abi_stable looks for (`abi_stable::library::ROOT_MODULE_LOADER_NAME`).
            #[allow(unsafe_code)]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::export::LibHeader = unsafe {
                $crate::export::LibHeader::from_constructor::<$crate::abi::RootRef>(
                    $crate::export::root::<Here>,
                    $crate::export::CheckTypeLayout::Yes,
                )
            };
        };
    };
    (@component $kind:ident $name:literal $doc:literal $($key:literal $option:literal)*) => {
        $crate::constcat::concat!(
            "{\"kind\":\"", stringify!($kind), "\",\"name\":\"", $name, "\",\"doc\":\"", $doc, "\",\"aliases\":{",
            $crate::export_plugin!(@aliases $($key $option)*), "}}"
        )
    };
    (@aliases) => { "" };
    (@aliases $key:literal $option:literal $($key2:literal $option2:literal)*) => {
        $crate::constcat::concat!("\"", $key, "\":\"", $option, "\"" $(, ",\"", $key2, "\":\"", $option2, "\"")*)
    };
}
