//! `trainer doctor`: prints what the machine gives, and judges it by what is required.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::{
    device::Choice,
    doctor::{self, Requirement},
    report::{print_line, print_result},
};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Where to try: device=auto, device=cpu or a GPU such as device=0
    #[arg(value_name = "device=DEVICE")]
    keys: Vec<String>,
    /// What must hold, else the exit code is 1: attention=KERNEL, device=DEVICE, bf16, gloo, nccl, tensorrt, plugins,
    /// one-of-each; may be repeated, or separated by commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    require: Vec<String>,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// Looks, prints, judges.
pub fn run(args: &Args) -> Result<ExitCode> {
    let requirements =
        args.require.iter().map(|text| text.trim().parse::<Requirement>()).collect::<Result<Vec<_>>>()?;
    let mut choice = None;
    for (key, value) in super::keys(&args.keys)? {
        match key.as_str() {
            "device" => choice = Some(value.parse::<Choice>()?),
            _ => bail!("`{key}` is no key of doctor, which takes device=DEVICE alone"),
        }
    }
    // A device that is required is the one to try things on; where it cannot be used, the rest is found out all the same.
    let required = requirements.iter().find_map(|requirement| match requirement {
        Requirement::Device(choice) if choice.open().is_ok() => Some(*choice),
        _ => None,
    });
    let facts = doctor::examine(choice.or(required).unwrap_or(Choice::Auto))?;
    let faults: Vec<_> = requirements
        .iter()
        .filter_map(|requirement| Some((requirement, requirement.fault(&facts)?)))
        .map(|(requirement, fault)| format!("required {requirement}: {fault}"))
        .collect();
    if args.json {
        let mut document = serde_json::to_value(&facts).context("the facts cannot be written as JSON")?;
        document["unmet"] = faults.clone().into();
        print_result(&document.to_string());
    } else {
        doctor::lines(&facts).iter().for_each(|line| print_result(line));
    }
    faults.iter().for_each(|fault| print_line(&format!("error: {fault}")));
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}
