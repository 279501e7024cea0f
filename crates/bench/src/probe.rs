//! Requests from within the network of a stack, one after the other, timed by a program there.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::stack::Stack;

/// What each step took, in milliseconds, by its name.
pub(crate) struct Steps(BTreeMap<String, Vec<f64>>);

impl Steps {
    /// What `program` on the network of `stack` prints.
    pub(crate) fn run(stack: &Stack, program: &[&str]) -> Result<Self> {
        Self::parse(&stack.run(program)?)
    }

    pub(crate) fn of(&self, step: &str) -> Result<&[f64]> {
        let times = self.0.get(step).map(Vec::as_slice);
        times.with_context(|| format!("no step {step:?}"))
    }

    fn parse(lines: &str) -> Result<Self> {
        let mut steps = BTreeMap::<_, Vec<_>>::new();
        for line in lines.lines() {
            let (step, microseconds) = line.split_once(' ').context("unknown output")?;
            let milliseconds = microseconds.parse::<f64>()? / 1000.0;
            steps.entry(step.to_owned()).or_default().push(milliseconds);
        }
        Ok(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_step_are_collected_in_milliseconds() {
        let steps = Steps::parse("look-up 90\nanswer 100250\nlook-up 110\n").unwrap();
        assert_eq!(steps.of("look-up").unwrap(), [0.09, 0.11]);
        assert_eq!(steps.of("answer").unwrap(), [100.25]);
        let error = steps.of("connect").unwrap_err();
        assert_eq!(error.to_string(), "no step \"connect\"");
    }
}
