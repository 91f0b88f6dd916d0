//! `gatefold devices`

use std::fmt::Write;

use clap::Args;
use gatefold_engine::gpu::{self, AdapterSummary};
use gatefold_engine::plan::mib;
use serde::Serialize;

use super::console;
use super::help::OUTPUT;
use crate::Result;

/// List the adapters, their limits and features, and which one would be used
#[derive(Args)]
pub struct Arguments {
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

#[derive(Serialize)]
struct Devices {
    adapters: Vec<AdapterSummary>,
    /// Index of the one that would be used.
    used: Option<usize>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (adapters, used) = gpu::list()?;
    let none = adapters.is_empty();
    if arguments.json {
        console::json(&Devices { adapters, used })?;
        return if none { Err(gpu::no_adapter()) } else { Ok(()) };
    }
    if none {
        return Err(gpu::no_adapter());
    }
    let mut text = String::new();
    for a in &adapters {
        let mark = if used == Some(a.index) { "*" } else { " " };
        let yes = |has: bool| if has { "yes" } else { "no" };
        let subgroups = if a.subgroup_min == a.subgroup_max {
            a.subgroup_min.to_string()
        } else {
            format!("{} to {}", a.subgroup_min, a.subgroup_max)
        };
        let operations = if a.subgroup_operations { "" } else { ", no operations" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{mark} {} {} ({}, {})\n    driver               {}\n    largest binding      {}\n    largest buffer       {}\n    \
             workgroup            {} memory, {} invocations\n    subgroup             {subgroups}{operations}\n    f16                  {}\n    \
             timestamps           {}\n    cooperative matrix   {}\n",
            a.index,
            a.name,
            a.kind,
            a.backend,
            a.driver,
            mib(a.max_binding_bytes),
            mib(a.max_buffer_bytes),
            mib(u64::from(a.workgroup_memory_bytes)),
            a.max_invocations,
            yes(a.f16),
            yes(a.timestamps),
            a.cooperative_matrix.map_or("no".into(), |side| format!("{side} x {side}, f16 to f32")),
        );
        if let Some(free) = a.free_bytes {
            let _ = writeln!(text, "    memory               {} free", mib(free));
        }
        if !a.without.is_empty() {
            let names: Vec<_> = a.without.iter().map(|switch| switch.name()).collect();
            let _ = writeln!(text, "    done without         {} (GATEFOLD_WITHOUT)", names.join(", "));
        }
    }
    console::show(&format!("{text}* would be used; choose another with --adapter INDEX or --adapter NAME\n"));
    Ok(())
}
