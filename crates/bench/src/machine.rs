//! The machine that the figures are of.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use crate::command::{compose, docker, run};

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: u64,
    memory_gib: f64,
    kernel: String,
    os: String,
    engine: String,
    storage: String,
    compose: String,
}

impl Machine {
    pub(crate) fn read() -> Result<Self> {
        let info = docker(&["info", "--format", "{{json .}}"])?;
        let info: Value = serde_json::from_str(&info).context("docker info")?;
        let text = |key: &str| info[key].as_str().unwrap_or("unknown").to_owned();
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1));
        Ok(Self {
            cpu: model.unwrap_or("unknown").to_owned(),
            cores: info["NCPU"].as_u64().unwrap_or_default(),
            memory_gib: info["MemTotal"].as_f64().unwrap_or_default() / f64::from(1 << 30),
            kernel: text("KernelVersion"),
            os: text("OperatingSystem"),
            engine: text("ServerVersion"),
            storage: text("Driver"),
            compose: run(compose().args(["version", "--short"]))?
                .trim()
                .to_owned(),
        })
    }

    pub(crate) fn describe(&self) -> String {
        let Self {
            cpu,
            cores,
            memory_gib,
            kernel,
            os,
            engine,
            storage,
            compose,
        } = self;
        format!(
            "Measured on {cores} cores ({cpu}), {memory_gib:.0} GiB, {os}, Linux {kernel}, \
             Docker {engine} ({storage}), Compose {compose}.\n"
        )
    }
}
