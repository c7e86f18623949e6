//! A host of a changed ABI: loads one plugin and says what its scheduler and its loss do.

use std::path::Path;

use trainer_sdk::{Progress, Rates};

fn main() {
    let file = std::env::args().nth(1).expect("host FILE.so");
    trainer_loader::install_no_tensors();
    let components = match trainer_loader::open_unchecked(Path::new(&file)) {
        Ok(components) => components,
        Err(reason) => {
            println!("refused: {reason}");
            return;
        }
    };
    for component in components {
        let (kind, name) = (component.entry.kind.as_str(), component.entry.name.as_str());
        let outcome = match kind {
            "scheduler" => component.factory.scheduler("{}").and_then(|mut scheduler| {
                let mut groups = [Rates::new("weight", 0.1, 0.9)];
                scheduler.rates(&Progress::default(), &mut groups)?;
                Ok(format!("lr {}", groups[0].lr))
            }),
            "loss" => component.factory.loss("{\"factor\": 0.25}").and_then(|mut loss| {
                let state = loss.save()?;
                loss.load(&state)?;
                let refused = loss.load(b"busy").err().map_or(String::new(), |reason| format!("{reason:#}"));
                Ok(format!("state {state:?}, busy: {}", refused.rsplit(": ").next().unwrap_or_default()))
            }),
            "augmentation" => component.factory.augmentation("{}").map(|it| format!("{} partners", it.partners())),
            _ => component.factory.exporter("{}").and_then(|it| Ok(format!("{:?}", it.formats()?))),
        };
        println!("{kind} {name}: {}", outcome.unwrap_or_else(|reason| format!("failed: {reason:#}")));
    }
}
