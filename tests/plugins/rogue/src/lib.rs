//! A loss that changes nothing, in a library that misbehaves while it is loaded or constructed, as the environment
//! variable `ROGUE` says; without it, a plugin as good as any. The fixture of core/loader/tests.

use std::{env, process, thread};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, Tensor, export_plugin};

fn is_told(what: &str) -> bool {
    env::var("ROGUE").is_ok_and(|told| told == what)
}

/// Runs when the library is loaded, before anything of it was called.
extern "C" fn on_load() {
    if is_told("segfault") {
        // SAFETY: none; it is there to crash.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::null_mut::<u8>().write_volatile(0);
        }
    }
    if is_told("exit") {
        process::exit(0);
    }
}

#[used]
#[allow(unsafe_code)]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// How much, of nothing.
    amount: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Options")]
struct Rogue(#[allow(dead_code)] Options);

impl TryFrom<Options> for Rogue {
    type Error = String;

    fn try_from(options: Options) -> Result<Self, String> {
        assert!(!is_told("panic"), "told to panic");
        if is_told("refuse") {
            return Err("told to refuse".into());
        }
        if is_told("hang") {
            loop {
                thread::park();
            }
        }
        if is_told("abort") {
            eprintln!("told to abort");
            process::abort();
        }
        if is_told("print") {
            println!("told to print");
        }
        if is_told("thread") {
            thread::spawn(thread::park);
        }
        if is_told("tensors") {
            Tensor::from_f32(&[1.0], &[1]).map_err(|reason| reason.to_string())?;
        }
        Ok(Self(options))
    }
}

impl Loss for Rogue {}

export_plugin! { loss "rogue" "misbehaves as ROGUE says": Rogue }
