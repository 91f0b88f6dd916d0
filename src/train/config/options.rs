//! Settings as the options that give them.

use super::Config;
use crate::weights::Pictures;

/// Fields that no option gives: recipes may leave batch-norm out, only a run that was resumed begins its schedule later, and only
/// one of several runs has a fold.
const WITHOUT_OPTION: [&str; 3] = ["batch_norm", "schedule_from", "fold"];

impl Config {
    /// The options of `train` that make these settings from the defaults, weights aside; `None` if only a recipe can. What would be
    /// [chosen](crate::train::choice) without an option is always among them.
    pub fn options(&self) -> Option<Vec<String>> {
        // Another optimiser brings other numbers along.
        let (lr, weight_decay) = (self.optimizer.usual_rate(), self.optimizer.usual_decay());
        let (mine, default) = (self.table()?, Self { lr, weight_decay, ..Self::default() }.table()?);
        let mut options = vec![];
        for (name, value) in
            mine.iter().filter(|(name, value)| default.get(*name) != Some(*value) || self.would_be_chosen(name))
        {
            if WITHOUT_OPTION.contains(&name.as_str()) {
                return None;
            }
            let option = format!("--{}", name.replace('_', "-"));
            // Labels may have commas in them.
            if let (toml::Value::Array(values), "map" | "without") = (value, name.as_str()) {
                options.extend(values.iter().flat_map(|value| [option.clone(), shown(value)]));
                continue;
            }
            options.push(option);
            match value {
                toml::Value::Boolean(true) => {}
                // A switch cannot be turned off.
                toml::Value::Boolean(false) => return None,
                other => options.push(shown(other)),
            }
        }
        Some(options)
    }

    fn would_be_chosen(&self, name: &str) -> bool {
        matches!(name, "net" | "size" | "batch") || name == "epochs" && self.minutes.is_none()
    }

    /// The settings alone: not where they came from.
    fn table(&self) -> Option<toml::Table> {
        toml::Table::try_from(Self { run: None, said: Pictures::default(), ..self.clone() }).ok()
    }

    /// In which settings `other` differs, as the options that give the ones here; where it came from does not count.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let [mine, theirs] = [self, other].map(|config| config.table().unwrap_or_default());
        let told = |name: &String| {
            let option = format!("--{}", name.replace('_', "-"));
            match mine.get(name) {
                Some(toml::Value::Boolean(true)) => option,
                Some(toml::Value::Boolean(false)) | None => format!("no {option}"),
                Some(toml::Value::Array(values)) if values.is_empty() => format!("no {option}"),
                Some(value) => format!("{option} {}", shown(value)),
            }
        };
        let names: std::collections::BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        names.into_iter().filter(|name| mine.get(*name) != theirs.get(*name)).map(told).collect()
    }
}

/// A setting as one types it.
pub fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        // The settings are f32, whose shortest digits are those that were typed.
        toml::Value::Float(number) => (*number as f32).to_string(),
        toml::Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
