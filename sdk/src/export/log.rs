//! The plugin's `tracing` events, forwarded to the host. Each library has its own copy of tracing, so without this
//! they would go nowhere.

use std::fmt::Write as _;

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::set_global_default,
};

use crate::abi::{LogTable, Str};

/// Sends all events of this library to `table` from now on.
pub(super) fn forward(plugin: &'static str, table: &'static LogTable) {
    // SAFETY: the host's function takes no pointers.
    let max = unsafe { (table.max_level)() };
    // A second `init` finds the subscriber in place, which is as good.
    let _ = set_global_default(Forward { plugin, table, max });
}

struct Forward {
    plugin: &'static str,
    table: &'static LogTable,
    max: u32,
}

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.is_event() && number(*metadata.level()) <= self.max
    }

    fn event(&self, event: &Event) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let (level, target) = (number(*event.metadata().level()), Str::new(event.metadata().target()));
        // SAFETY: the texts live for the call.
        unsafe { (self.table.event)(level, Str::new(self.plugin), target, Str::new(text.0.trim_start())) }
    }

    // Spans are not forwarded: the host names the plugin and the call by itself.
    fn new_span(&self, _: &span::Attributes) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message, then the fields as `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => {
                self.0.insert_str(0, &format!("{value:?}"));
                Ok(())
            }
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
