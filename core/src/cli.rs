//! The command line: `trainer [verb] [key=value …] [--config run.toml] [--plugin FILE]…`. No verb means train.

mod bench;
mod commands;
mod data;
mod view;

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use trainer_loader::{LoadError, PluginFailure};

use crate::{
    allocator, crash,
    data::decode::is_decoding,
    plugin,
    report::print_line,
    settings::{Join, Request},
};

/// Trains YOLOv12 detectors; augmentation, schedule, loss and export are plugins.
#[derive(Parser)]
#[command(name = "trainer", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Keys are those that YOLO users know, as `key=value` or `--key value`; options of components have a dot.

  trainer                                        train on the built-in demo data
  trainer data=data.yaml model=yolo12n imgsz=640 epochs=100 batch=16
  trainer data=data.yaml --plugin my_loss.so my_loss.option=0.1
  trainer val weights=runs/train/train/weights/best.safetensors data=data.yaml
  trainer export weights=best.safetensors format=FORMAT --plugin my_exporter.so
  trainer info model=yolo12n
  trainer data check data.yaml                   what would be refused, with file and line
  trainer data view data.yaml                    a sheet of its pictures with their boxes
  trainer bench step model=yolo12n batch=16      how long a training step takes here, by its parts
  trainer plugin new my_loss --kind loss         write a plugin project

Exit codes: 0 done, 1 a mistake in what was asked for, 2 a plugin was refused or failed, 4 an internal error.";

#[derive(Subcommand)]
enum Verb {
    /// Train a detector (the default)
    Train(RunArgs),
    /// Score weights on the validation images
    Val(RunArgs),
    /// Write weights in another format
    Export(RunArgs),
    /// Show a model's size: parameters, operations, layers
    Info(RunArgs),
    /// Time a training step on this machine: `trainer bench step model=yolo12n imgsz=640 batch=16 [data=data.yaml]`
    Bench {
        /// What is timed
        what: bench::What,
        #[command(flatten)]
        args: RunArgs,
    },
    /// Check a data set and describe it
    #[command(subcommand)]
    Data(data::Verb),
    /// List, inspect, check, write and trust plugins
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Make the demo data and say where it is
    Demo,
    /// Write a script that completes this command line in a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Settings such as epochs=100
    #[arg(value_name = "KEY=VALUE")]
    keys: Vec<String>,
    /// Run file (TOML or YAML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Plugin that joins the run; may be repeated
    #[arg(long, value_name = "FILE")]
    plugin: Vec<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// Verbs, and the flags that are not keys, as clap knows them.
const VERBS: [&str; 10] = ["train", "val", "export", "info", "bench", "data", "plugin", "demo", "completions", "help"];
const FLAGS: [&str; 7] = ["--config", "--plugin", "--json", "--help", "-h", "--version", "-V"];

/// Whether any thread of the trainer (not of a plugin) has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let _work = crash::install();
    allocator::keep_freed_memory();
    let filter = EnvFilter::try_from_env("TRAINER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).without_time();
    log.with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    std::panic::set_hook(Box::new(|info| {
        if is_decoding() {
            return; // it will be named with its file, as an image that cannot be read
        }
        PANICKED.store(true, Ordering::Relaxed);
        print_line(&format!(
            "error: internal: {info}\nThis is a defect of the trainer; please report it with the command you ran."
        ));
    }));
    let words = std::env::args_os().collect::<Vec<_>>();
    let words =
        if words.get(1).is_some_and(|verb| verb == "plugin" || verb == "data") { words } else { normalise(words) };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 1 } else { 0 });
        }
    };
    match std::panic::catch_unwind(|| run(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if PANICKED.load(Ordering::Relaxed) => {
            print_line(&format!("{error:#}")); // what became of the panic that was reported
            ExitCode::from(4)
        }
        Ok(Err(error)) => {
            print_line(&format!("error: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
        Err(_) => ExitCode::from(4),
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Plugin(verb) => return plugin::run(&verb),
        Verb::Data(verb) => return data::run(&verb),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "trainer", &mut std::io::stdout());
            Ok(())
        }
        Verb::Train(args) => commands::train(&Request { join: Join::All, ..request(&args)? }, args.json),
        Verb::Val(args) => commands::val(&request(&args)?, args.json),
        Verb::Export(args) => commands::export(&Request { join: Join::Exporters, ..request(&args)? }, args.json),
        Verb::Info(args) => commands::info(&request(&args)?, args.json),
        Verb::Bench { what, args } => bench::run(what, &request(&args)?, args.json),
        Verb::Demo => commands::demo(),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// 2 for a plugin that was refused or failed, 4 for libtorch's own errors, 1 for what the user can mend.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is = |f: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(f);
    if is(|cause| cause.is::<LoadError>() || cause.is::<PluginFailure>()) {
        2
    } else if is(|cause| cause.is::<tch::TchError>()) {
        4
    } else {
        1
    }
}

fn request(args: &RunArgs) -> Result<Request> {
    let keys = keys(&args.keys)?;
    Ok(Request { file: args.config.clone(), plugins: args.plugin.clone(), join: Join::None, keys })
}

/// Words as keys and values.
fn keys(words: &[String]) -> Result<Vec<(String, String)>> {
    let key = |word: &String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => bail!("`{word}` is neither a verb nor key=value; `trainer --help` shows both"),
    };
    words.iter().map(key).collect()
}

/// Puts in the verb that was left out, and turns `--key value` and `--key=value` into `key=value`.
fn normalise(words: Vec<OsString>) -> Vec<OsString> {
    let mut words = words.into_iter();
    let mut out: Vec<OsString> = words.next().into_iter().collect();
    let rest: Vec<OsString> = words.collect();
    let is_flag = |word: &str| FLAGS.contains(&word.split('=').next().unwrap_or(word));
    let first = rest.first().and_then(|word| word.to_str());
    let asks_for_help = first.is_some_and(|word| ["--help", "-h", "--version", "-V"].contains(&word));
    if !asks_for_help && !first.is_some_and(|word| VERBS.contains(&word)) {
        out.push("train".into());
    }
    let mut rest = rest.into_iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy(); // where that replaces something, no key is meant, or the word is refused
        match text.strip_prefix("--") {
            _ if is_flag(&text) => {
                let takes_value = (text == "--config" || text == "--plugin").then(|| rest.next()).flatten();
                out.push(word);
                out.extend(takes_value);
            }
            Some(key) if key.contains('=') && word.to_str().is_some() => out.push(key.into()),
            Some(key) if !key.is_empty() && !key.contains('=') => {
                let mut pair = OsString::from(key);
                if let Some(value) = rest.next() {
                    pair.push("=");
                    pair.push(value);
                }
                out.push(pair);
            }
            _ => out.push(word),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::normalise;

    fn words(line: &str) -> String {
        let out = normalise(line.split(' ').map(Into::into).collect());
        out.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn keys_flags_and_verbs_may_be_mixed() {
        assert_eq!(words("trainer data=x.yaml --epochs 3"), "trainer train data=x.yaml epochs=3");
        assert_eq!(words("trainer val --weights=a --json"), "trainer val weights=a --json");
        assert_eq!(words("trainer --plugin a.so lr0=1"), "trainer train --plugin a.so lr0=1");
        assert_eq!(words("trainer --plugin=a.so"), "trainer train --plugin=a.so");
        assert_eq!(words("trainer --help"), "trainer --help");
    }
}
