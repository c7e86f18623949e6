//! Tries a plugin out: loads it, constructs each of its components once, and writes an [`Answer`] as JSON. The loader
//! runs it in a process of its own, since whatever the plugin does here costs no training run. With `--locate` it says
//! instead where in a plugin's sources addresses lie, for a process that has crashed there.

use std::{
    env,
    ffi::OsString,
    fs,
    fs::File,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit, setrlimit},
    stdio::{dup2_stdout, stdout},
};
use serde_json::{Map, Value};
use trainer_loader::{Answer, LoadError, LoadedComponent, Probed, ProbedComponent};

/// Bytes that a plugin may write to any one file.
const WRITE_LIMIT: u64 = 64 << 20;

fn main() -> ExitCode {
    let Some(file) = env::args_os().nth(1) else {
        eprintln!("trainer-probe FILE tries a plugin out; the trainer runs it");
        return ExitCode::from(1);
    };
    if file == "--locate" {
        return locate();
    }
    match probe(Path::new(&file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("trainer-probe: {reason}");
            ExitCode::from(1)
        }
    }
}

/// `--locate FILE OFFSET…`: the source line of the first that has one in the plugin's own sources.
fn locate() -> ExitCode {
    let mut words = env::args_os().skip(2);
    let file = words.next().unwrap_or_default();
    let hex = |word: OsString| u64::from_str_radix(word.to_str()?.trim_start_matches("0x"), 16).ok();
    let Some(place) = trainer_loader::locate(Path::new(&file), words.filter_map(hex)) else {
        return ExitCode::from(1);
    };
    eprintln!("  at {place}");
    ExitCode::SUCCESS
}

/// Keeps standard output for the answer; what the plugin prints goes into memory and is counted.
fn probe(file: &Path) -> io::Result<()> {
    let mut out = File::from(fcntl_dupfd_cloexec(stdout(), 3)?);
    let printed = File::from(memfd_create("printed", MemfdFlags::CLOEXEC)?);
    dup2_stdout(&printed)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    setrlimit(Resource::Fsize, Rlimit { current: Some(WRITE_LIMIT), maximum: Some(WRITE_LIMIT) })?;
    trainer_loader::install_no_tensors();

    let mut answer = try_out(file)?;
    trainer_loader::flush_c_streams();
    if let Answer::Ok(probed) = &mut answer {
        probed.printed = printed.metadata()?.len();
    }
    out.write_all(&serde_json::to_vec(&answer)?)
}

fn try_out(file: &Path) -> io::Result<Answer> {
    let components = match trainer_loader::open_unchecked(file) {
        Ok(components) => components,
        Err(LoadError::Layout { reason, .. }) => return Ok(Answer::AbiLayout(reason)),
        Err(LoadError::Init { reason, .. }) => return Ok(Answer::InitFailed(reason)),
        Err(LoadError::Open { reason, .. }) => return Ok(Answer::CannotOpen(reason)),
        Err(other) => return Ok(Answer::CannotOpen(other.to_string())),
    };
    for component in &components {
        if let Err(reason) = construct(component) {
            let entry = &component.entry;
            let text = format!("cannot construct {} {} with its default options: {reason:#}", entry.kind, entry.name);
            return Ok(Answer::Component(text));
        }
    }
    let threads = fs::read_dir("/proc/self/task")?.count().saturating_sub(1);
    let components = components.iter().map(ProbedComponent::of).collect();
    Ok(Answer::Ok(Probed { components, printed: 0, threads }))
}

/// Makes an instance with the defaults that the schema names, and ends it.
fn construct(component: &LoadedComponent) -> anyhow::Result<()> {
    let properties = component.schema.get("properties").and_then(Value::as_object);
    let defaults =
        properties.into_iter().flatten().filter_map(|(key, it)| Some((key.clone(), it.get("default")?.clone())));
    let options = Value::Object(defaults.collect::<Map<_, _>>()).to_string();
    component.factory.construct(&options)
}
