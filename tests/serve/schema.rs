//! Holds what is answered against what the description of the API says of it: as much of JSON Schema as that uses.

use serde_json::Value;

use crate::server::Server;

/// The API's description.
pub struct Schema(Value);

impl Schema {
    pub fn of(server: &Server) -> Self {
        Self(server.get("api/openapi.json").json())
    }

    pub fn document(&self) -> &Value {
        &self.0
    }

    /// Fails unless `value` is what the component of this name describes.
    #[track_caller]
    pub fn holds(&self, name: &str, value: &Value) {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is not described");
        if let Err(why) = self.check(schema, value, name) {
            panic!("{why}: {value}");
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.trim_start_matches('#');
            return self.check(self.0.pointer(pointer).ok_or(format!("{name} is missing"))?, value, at);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let all: Vec<String> = any.iter().filter_map(|one| self.check(one, value, at).err()).collect();
            return if all.len() < any.len() { Ok(()) } else { Err(all.join(", or ")) };
        }
        let wrong = |what: &str| Err(format!("{at} is no {what}"));
        match schema["type"].as_str().ok_or(format!("{at} has no type"))? {
            "null" if !value.is_null() => wrong("null"),
            "string" if !value.is_string() => wrong("string"),
            "boolean" if !value.is_boolean() => wrong("boolean"),
            "integer" if !value.is_u64() => wrong("integer"),
            "number" if !value.is_number() => wrong("number"),
            "number" => {
                let number = value.as_f64().unwrap();
                let bound = |name: &str| schema[name].as_f64();
                let low = bound("minimum").is_some_and(|least| number < least - 1e-9);
                let high = bound("maximum").is_some_and(|most| number > most + 1e-6);
                if low || high { Err(format!("{at} is out of bounds")) } else { Ok(()) }
            }
            "array" => {
                let Some(items) = value.as_array() else { return wrong("array") };
                let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
                let most = schema["maxItems"].as_u64().map_or(usize::MAX, |most| most as usize);
                if !(least..=most).contains(&items.len()) {
                    return Err(format!("{at} has {} items", items.len()));
                }
                items.iter().try_for_each(|item| self.check(&schema["items"], item, &format!("{at}[]")))
            }
            "object" => {
                let Some(object) = value.as_object() else { return wrong("object") };
                let (known, required) =
                    (schema["properties"].as_object().unwrap(), schema["required"].as_array().unwrap());
                if let Some(name) = object.keys().find(|name| !known.contains_key(*name)) {
                    return Err(format!("{at} has `{name}`, which is not described"));
                }
                if let Some(name) = required.iter().find(|name| !object.contains_key(name.as_str().unwrap())) {
                    return Err(format!("{at} lacks {name}"));
                }
                object.iter().try_for_each(|(name, value)| self.check(&known[name], value, &format!("{at}.{name}")))
            }
            _ => match schema["enum"].as_array() {
                Some(names) if !names.contains(value) => Err(format!("{at} is none of those that are described")),
                _ => Ok(()),
            },
        }
    }
}
