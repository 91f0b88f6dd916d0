//! The whole command line as clap sees it: headings, defaults from the place that defines them, and errors in one line.

use std::any::TypeId;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::process::ExitCode;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory};

use super::console;
use crate::hint::did_you_mean;
use crate::nets::NETS;
use crate::shown::shortened;
use crate::train::config::bounds::in_words;
use crate::train::config::{self, Config, RECIPES, STEP_FACTOR};

pub const DATA: &str = "Data";
pub const NETWORK: &str = "Network";
pub const OPTIMISER: &str = "Optimiser";
pub const SCHEDULE: &str = "Schedule";
pub const FINE_TUNING: &str = "Fine-tuning";
pub const OUTPUT: &str = "Output";
pub const SERVER: &str = "Server";
pub const HARDWARE: &str = "Hardware";

/// A setting with few values: each with its name and a sentence.
pub trait Choice: Clone + Send + Sync + 'static {
    /// What a value is: "network".
    const WHAT: &'static str;
    const VALUES: &'static [(&'static str, &'static str, Self)];
}

/// Reads a [`Choice`], and lists its values in the help and in completions.
pub fn choice<T: Choice>() -> impl TypedValueParser<Value = T> {
    Named { what: T::WHAT, values: T::VALUES.to_vec() }
}

/// The name of a network.
pub fn net() -> impl TypedValueParser<Value = String> {
    Named { what: "network", values: NETS.iter().map(|net| (net.name, "", net.name.to_owned())).collect() }
}

/// A whole number between bounds.
pub fn whole<T>(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
{
    Whole { range, of: PhantomData }
}

/// Three numbers, of red, green and blue.
pub fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Vec<f32> = text.split(',').map_while(|number| number.trim().parse().ok()).collect();
    let three = <[f32; 3]>::try_from(numbers).ok().filter(|three| three.iter().all(|number| number.is_finite()));
    three
        .filter(|_| text.split(',').count() == 3)
        .ok_or_else(|| "three numbers separated by commas, as 0.485,0.456,0.406".to_owned())
}

#[derive(Clone)]
struct Whole<T> {
    range: RangeInclusive<u64>,
    of: PhantomData<T>,
}

impl<T: TryFrom<u64> + Clone + Send + Sync + 'static> TypedValueParser for Whole<T> {
    type Value = T;

    fn parse_ref(&self, _: &Command, option: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let given = value.to_string_lossy();
        let number = given.parse().ok().filter(|number| self.range.contains(number));
        number.and_then(|number: u64| T::try_from(number).ok()).ok_or_else(|| {
            let option = option.and_then(Arg::get_long).unwrap_or_default();
            let bounds = in_words(&self.range);
            clap::Error::raw(ErrorKind::InvalidValue, format!("--{option} {given}: must be a whole number {bounds}"))
        })
    }
}

/// Whether the option takes a number. One below 0 is then a value, which is refused with what it has to be, and no option.
fn is_number(arg: &Arg) -> bool {
    let of = arg.get_value_parser().type_id();
    [TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<usize>(), TypeId::of::<f32>()].iter().any(|id| of == *id)
}

/// Options whose text begins with a number.
const LIKE_NUMBERS: [&str; 5] = ["adapter", "split", "harmonise", "augment", "lr"];

/// Values with names and sentences.
#[derive(Clone)]
struct Named<T> {
    what: &'static str,
    values: Vec<(&'static str, &'static str, T)>,
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Named<T> {
    type Value = T;

    fn parse_ref(&self, _: &Command, option: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let given = value.to_string_lossy();
        if let Some((.., found)) = self.values.iter().find(|(name, ..)| *name == given) {
            return Ok(found.clone());
        }
        let names: Vec<&str> = self.values.iter().map(|(name, ..)| *name).collect();
        let (hint, known) = (did_you_mean(&given, &names), names.join(", "));
        let option = option.and_then(Arg::get_long).unwrap_or_default();
        let text = format!("--{option} {given}: there is no such {}{hint}; there are: {known}", self.what);
        Err(clap::Error::raw(ErrorKind::InvalidValue, text))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |&(name, help, _): &(&'static str, &'static str, T)| {
            let value = PossibleValue::new(name);
            if help.is_empty() { value } else { value.help(help) }
        };
        Some(Box::new(self.values.iter().map(value)))
    }
}

/// The command line, with everything that its help shows.
pub fn command() -> Command {
    let settings = toml::Table::try_from(Config::default()).unwrap_or_default();
    let with_default = |arg: Arg| match (default_of(arg.get_id().as_str(), &settings), arg.get_help()) {
        // Where it depends on something, the help says it itself.
        (Some(default), Some(help)) if !help.to_string().contains("[default: ") => {
            let help = format!("{help} [default: {default}]");
            arg.help(help)
        }
        _ => arg,
    };
    let takes_settings = |sub: &Command| matches!(sub.get_name(), "train" | "labels" | "lr" | "search");
    let with_defaults = |sub: Command| if takes_settings(&sub) { sub.mut_args(&with_default) } else { sub };
    let with_numbers = |arg: Arg| {
        let negative = is_number(&arg) || LIKE_NUMBERS.contains(&arg.get_id().as_str());
        if negative { arg.allow_hyphen_values(true) } else { arg }
    };
    super::Cli::command().mut_subcommands(with_defaults).mut_subcommands(|sub| sub.mut_args(with_numbers))
}

/// What an option of `train` or `labels` is without being given. The default `settings` say so, or the code that a missing value means.
fn default_of(id: &str, settings: &toml::Table) -> Option<String> {
    match id {
        "step_factor" => return Some(STEP_FACTOR.to_string()),
        "recipe" => {
            let names: Vec<_> = RECIPES.iter().map(|recipe| recipe.0).collect();
            return Some(format!("none; built in: {}", names.join(", ")));
        }
        _ => {}
    }
    match settings.get(id)? {
        // A switch is off, and an empty list says nothing.
        toml::Value::Boolean(_) => None,
        toml::Value::Array(values) if values.is_empty() => None,
        value => Some(config::shown(value)),
    }
}

/// Prints help or version, or says in one line what is wrong with the command line.
pub fn end(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if asked {
        if error.use_stderr() {
            // If nobody listens, nothing is lost but that.
            let _ = error.print();
        } else {
            console::print_with(|| error.print());
        }
    } else {
        console::say(shortened(&one_line(&error.render().to_string())));
    }
    super::exit_code(Ok(ExitCode::from(error.exit_code() as u8)))
}

/// Clap's message without its usage, its hint as a question.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<&str> =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information")).collect();
    let mut text = String::new();
    for line in told {
        let hint = line.strip_prefix("tip: a similar ").and_then(|rest| rest.split_once(" exists: "));
        let hints = line.strip_prefix("tip: some similar ").and_then(|rest| rest.split_once(" exist: "));
        match hint.or(hints) {
            Some((_, near)) => text += &format!("; did you mean {near}?"),
            None if line.starts_with("tip: ") => text += &format!("; {}", line.trim_start_matches("tip: ")),
            None if text.is_empty() => text += line,
            // What is missing is listed a line each.
            None if text.ends_with(':') => text += &format!(" {line}"),
            None if line.starts_with('[') => text += &format!(" {line}"),
            None => text += &format!(", {line}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let error = command().try_get_matches_from(line.split(' ')).unwrap_err();
        one_line(&error.render().to_string())
    }

    /// Every command with the path to it.
    fn commands(command: &Command, path: &str, all: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            all.push((path.clone(), sub.clone()));
            commands(sub, &path, all);
        }
    }

    #[test]
    fn every_option_has_a_heading_a_sentence_and_its_default() {
        let mut root = command();
        root.build();
        root.clone().debug_assert();
        let mut all = vec![];
        commands(&root, "gatefold", &mut all);
        assert!(all.len() >= 13, "{all:?}");
        for (path, command) in all.iter().filter(|(path, _)| !path.contains(" help")) {
            assert!(command.get_about().is_some(), "{path}");
            for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
                let name = format!("{path}: {}", arg.get_id());
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 8, "{name} has no sentence");
                for leak in ["](", "[`", "::", "`]"] {
                    assert!(!help.contains(leak), "{name} shows rustdoc: {help}");
                }
                for value in arg.get_possible_values() {
                    let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                    assert!(!help.contains("[`") && !help.contains("]("), "{name}: {help}");
                }
                if arg.is_positional() {
                    continue;
                }
                assert!(arg.get_help_heading().is_some(), "{name} has no heading");
                let takes_value = arg.get_action().takes_values();
                let shown = help.contains("[default: ") || !arg.get_default_values().is_empty();
                let required = arg.is_required_set() || help.contains("required");
                assert!(!takes_value || shown || required, "{name} does not say its default: {help}");
            }
        }
    }

    #[test]
    fn the_help_of_train_has_headings_and_the_settings_own_defaults() {
        let mut command = command();
        let train = command.find_subcommand_mut("train").unwrap();
        let help = train.render_long_help().to_string();
        for heading in [DATA, NETWORK, OPTIMISER, SCHEDULE, FINE_TUNING, OUTPUT, HARDWARE] {
            assert!(help.contains(&format!("\n{heading}:\n")), "{heading}: {help}");
        }
        let Config { dropout, lr, batch, .. } = Config::default();
        for default in
            [format!("[default: {dropout}]"), format!("[default: {lr}]"), format!("[default: {batch}, of few")]
        {
            assert!(help.contains(&default), "{default}: {help}");
        }
        assert!(NETS.iter().all(|net| help.contains(net.name)) && RECIPES.iter().all(|recipe| help.contains(recipe.0)));
    }

    #[test]
    fn numbers_below_their_bounds_are_values_and_refused() {
        let mut root = command();
        root.build();
        let mut all = vec![];
        commands(&root, "gatefold", &mut all);
        let mut walked = 0;
        for (path, command) in &all {
            for arg in command.get_arguments().filter(|arg| is_number(arg)) {
                let option = arg.get_long().unwrap();
                let told = said(&format!("{path} --{option} -1"));
                walked += 1;
                if arg.get_value_parser().type_id() == TypeId::of::<f32>() {
                    // Read as a number, which the settings refuse once all that is required is there.
                    assert!(told.contains("required arguments"), "{path} --{option}: {told}");
                } else {
                    assert!(
                        told.starts_with(&format!("error: --{option} -1: must be a whole number from ")),
                        "{path}: {told}"
                    );
                    let most = said(&format!("{path} --{option} 18446744073709551615"));
                    assert!(
                        most.starts_with(&format!("error: --{option} 18446744073709551615: must be")),
                        "{path}: {most}"
                    );
                }
            }
        }
        assert!(walked >= 30, "{walked}");
    }

    #[test]
    fn what_is_wrong_is_one_line_with_a_hint() {
        for (line, wanted) in [
            ("gatefold train covers --out run --epoch 3", "did you mean '--epochs'?"),
            (
                "gatefold train covers --out run --net resnet5",
                "--net resnet5: there is no such network; did you mean resnet50?",
            ),
            ("gatefold trian", "did you mean 'train'?"),
            ("gatefold train covers", "--out"),
            (
                "gatefold train covers --out run --epochs many",
                "--epochs many: must be a whole number from 1 to 1000000",
            ),
            ("gatefold train covers --out run --lr fast", "invalid value 'fast' for '--lr"),
            ("gatefold train covers --out run --split --size 64", "unexpected argument '64'"),
        ] {
            let said = said(line);
            assert!(said.starts_with("error: ") && said.contains(wanted) && !said.contains('\n'), "{line}: {said}");
        }
    }
}
