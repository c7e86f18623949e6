//! What this host offers to plugins: tables by id.

#![allow(unsafe_code)] // C functions

use std::ptr;

use tracing::{Level, event, level_filters::LevelFilter};
use trainer_abi::{Host, LAYERS, LOG, LogTable, OPTIONS, Str, TENSOR};

use crate::option_table::OPTION_TABLE;

pub(crate) static HOST: Host = Host { table };

unsafe extern "C" fn table(id: Str) -> *const () {
    static LOG_TABLE: LogTable = LogTable { max_level, event: log };
    // SAFETY: the id lives for the call.
    match &*unsafe { id.to_text() } {
        TENSOR => trainer_sdk::export::installed_tensors().map_or(ptr::null(), |table| ptr::from_ref(table).cast()),
        LOG => ptr::from_ref(&LOG_TABLE).cast(),
        OPTIONS => ptr::from_ref(&OPTION_TABLE).cast(),
        LAYERS => ptr::from_ref(&trainer_sdk::sample_store::LAYERS).cast(),
        _ => ptr::null(),
    }
}

unsafe extern "C" fn max_level() -> u32 {
    match LevelFilter::current().into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

unsafe extern "C" fn log(level: u32, plugin: Str, target: Str, text: Str) {
    // SAFETY: the texts live for the call.
    let (plugin, from, text) = unsafe { (plugin.to_text(), target.to_text(), text.to_text()) };
    let (plugin, from) = (&*plugin, &*from);
    match level {
        1 => event!(target: "plugin", Level::ERROR, plugin, from, "{text}"),
        2 => event!(target: "plugin", Level::WARN, plugin, from, "{text}"),
        3 => event!(target: "plugin", Level::INFO, plugin, from, "{text}"),
        4 => event!(target: "plugin", Level::DEBUG, plugin, from, "{text}"),
        _ => event!(target: "plugin", Level::TRACE, plugin, from, "{text}"),
    }
}
