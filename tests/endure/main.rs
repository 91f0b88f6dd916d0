//! Endurance: kills, full disks, damaged files, two processes at once. Not part of `make test`, since it takes as long as it is
//! given: `make endure MINUTES=10`. Every round is drawn from a seed that it prints, and `--seed N --rounds 1` repeats it.
//!
//! What must hold is written in docs/promises.md. A round that breaks it leaves its folder, and the exit code is 1.

mod change;
mod disk;
mod kill;
mod mutate;
mod power;
mod tool;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use tool::{Base, Verdict};

/// A kind of round: its name, how often it comes among all, and what it does.
type Kind = (&'static str, u32, fn(&Base, &mut ChaCha8Rng) -> Verdict);

const KINDS: &[Kind] = &[
    ("kill import", 2, kill::import),
    ("kill train", 2, kill::train),
    ("two trains", 1, kill::two_at_once),
    ("full disk, import", 1, disk::import),
    ("full disk, train", 1, disk::train),
    ("power cut, import", 1, power::import),
    ("power cut, train", 1, power::train),
    ("failing device", 3, kill::device),
    ("damaged checkpoint", 4, mutate::checkpoint),
    ("damaged pack", 4, mutate::pack),
    ("damaged manifest", 3, mutate::manifest),
    ("damaged table", 4, mutate::table),
    ("damaged recipe", 3, mutate::recipe),
    ("damaged pictures", 4, mutate::pictures),
    ("damaged audio", 3, mutate::audio),
];

/// What the command line asks for.
struct Wish {
    minutes: f64,
    seed: u64,
    rounds: u64,
    only: Option<String>,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { minutes: 10.0, seed: 1, rounds: u64::MAX, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word}: give a value"))?;
        let bad = || format!("{word} {value}: no number");
        match word.as_str() {
            "--minutes" => wish.minutes = value.parse().map_err(|_| bad())?,
            "--seed" => wish.seed = value.parse().map_err(|_| bad())?,
            "--rounds" => wish.rounds = value.parse().map_err(|_| bad())?,
            "--only" => wish.only = Some(value),
            _ => return Err(format!("{word}: there are --minutes, --seed, --rounds and --only KIND")),
        }
    }
    let known = |only: &String| KINDS.iter().any(|(name, ..)| name.contains(only.as_str()));
    match &wish.only {
        Some(only) if !known(only) => {
            let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
            Err(format!("--only {only}: there are {}", names.join("; ")))
        }
        _ => Ok(wish),
    }
}

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => wish,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::from(2);
        }
    };
    let base = Base::new();
    let kinds: Vec<&Kind> = KINDS
        .iter()
        .filter(|(name, ..)| wish.only.as_ref().is_none_or(|only| name.contains(only.as_str())))
        .flat_map(|kind| std::iter::repeat_n(kind, kind.1 as usize))
        .collect();
    let end = Instant::now() + Duration::from_secs_f64(60.0 * wish.minutes);
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut broken = 0;
    let mut round = 0;
    while round < wish.rounds && Instant::now() < end {
        let seed = wish.seed + round;
        // The seed alone decides the kind, so that one round can be repeated by itself.
        let (name, _, run) = kinds[(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as usize % kinds.len()];
        base.fresh();
        let told = match run(&base, &mut ChaCha8Rng::seed_from_u64(seed)) {
            Ok(told) => told,
            Err(what) => {
                broken += 1;
                let kept = base.keep(seed);
                println!("BROKEN  seed {seed}, {name}: {what}; kept in {}", kept.display());
                "broken"
            }
        };
        *counts.entry((name, told)).or_default() += 1;
        round += 1;
    }
    println!("{round} rounds from seed {}:", wish.seed);
    for ((name, told), count) in &counts {
        println!("  {name:<20} {told:<40} {count:>6}");
    }
    println!("{broken} broken");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
