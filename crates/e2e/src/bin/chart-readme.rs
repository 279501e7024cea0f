//! Prints the README of the Helm chart, in the format of helm-docs:
//!
//!     cargo run -p e2e --bin chart-readme >charts/dockercoins/README.md
//!
//! A value whose comment begins with `# --` has a row.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;

use e2e::{root, yaml};
use serde_json::Value;

const CHART: &str = "charts/dockercoins";

fn main() {
    let chart = yaml::parse(&read("Chart.yaml")).remove(0);
    let text = |key: &str| chart[key].as_str().unwrap();
    println!("# {}\n", text("name"));
    println!("{}\n", text("description"));
    println!("**Homepage:** <{}>\n", text("home"));
    println!("    helm install dockercoins oci://ghcr.io/OWNER/dockercoins");
    println!("    helm test dockercoins\n");
    println!("## Values\n");
    print_table("values.yaml");
    println!("\n## Values of each component\n");
    print_table("charts/component/values.yaml");
}

fn print_table(file: &str) {
    let mut rows = rows(&read(file));
    rows.sort();
    println!("| Key | Type | Default | Description |\n|-----|------|---------|-------------|");
    for row in rows {
        println!("{row}");
    }
}

fn rows(values: &str) -> Vec<String> {
    let defaults = yaml::parse(values).remove(0);
    let mut rows = Vec::new();
    let mut path = Vec::new();
    let (mut description, mut shown) = (None::<String>, None);
    for line in values.lines() {
        let content = line.trim_start();
        if let Some(first) = content.strip_prefix("# -- ") {
            description = Some(first.to_owned());
        } else if let Some(default) = content.strip_prefix("# @default -- ") {
            shown = Some(default.to_owned());
        } else if let Some(next) = content.strip_prefix("# ") {
            description = description.map(|text| format!("{text} {next}"));
        } else if let Some((key, _)) = content
            .split_once(':')
            .filter(|_| !content.starts_with('-'))
        {
            path.truncate((line.len() - content.len()) / 2);
            path.push(key);
            if let Some(text) = description.take() {
                let pointer = format!("/{}", path.join("/"));
                let default = defaults.pointer(&pointer).unwrap();
                let shown = shown.take().unwrap_or_else(|| format!("`{default}`"));
                rows.push(format!(
                    "| {} | {} | {shown} | {text} |",
                    path.join("."),
                    kind(default)
                ));
            }
        }
    }
    rows
}

fn kind(value: &Value) -> &str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::Null | Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(CHART).join(file)).unwrap()
}
