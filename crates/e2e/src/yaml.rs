//! YAML as JSON, which compares with `json!`.

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// The documents of a text.
#[track_caller]
pub fn parse(text: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(text);
    let documents = documents.unwrap_or_else(|error| panic!("{error}:\n{text}"));
    documents.into_iter().map(json).collect()
}

fn json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::String(text) => text.into(),
        Yaml::Integer(number) => number.into(),
        Yaml::Boolean(boolean) => boolean.into(),
        Yaml::Null => Value::Null,
        Yaml::Array(list) => list.into_iter().map(json).collect(),
        Yaml::Hash(hash) => {
            let mut map = Map::new();
            for (key, value) in hash {
                match (key.as_str().unwrap(), json(value)) {
                    // The parser leaves the merge key to us.
                    ("<<", Value::Object(defaults)) => map.extend(defaults),
                    (key, value) => drop(map.insert(key.to_owned(), value)),
                }
            }
            map.into()
        }
        other => panic!("not in JSON: {other:?}"),
    }
}
