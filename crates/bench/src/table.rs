//! The table of the figures.

use std::fmt::Write;

use crate::stack::Programs;

/// A row for each figure, in the order in which they were first measured.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    name: String,
    unit: &'static str,
    /// One value for each round.
    application: Vec<f64>,
    baseline: Vec<f64>,
}

impl Table {
    pub(crate) fn add(&mut self, programs: Programs, name: &str, unit: &'static str, value: f64) {
        let known = self.0.iter().position(|row| row.name == name);
        let index = known.unwrap_or_else(|| {
            self.0.push(Row {
                name: name.to_owned(),
                unit,
                application: Vec::new(),
                baseline: Vec::new(),
            });
            self.0.len() - 1
        });
        let row = &mut self.0[index];
        match programs {
            Programs::Application => row.application.push(value),
            Programs::Baseline => row.baseline.push(value),
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = "\
| figure | unit | application | spread | baseline | spread | ratio |
| --- | --- | --- | --- | --- | --- | --- |
"
        .to_owned();
        for row in &self.0 {
            let (application, baseline) = (median(&row.application), median(&row.baseline));
            let cells = [
                row.name.clone(),
                row.unit.to_owned(),
                digits(application),
                spread(&row.application),
                digits(baseline),
                spread(&row.baseline),
                digits(application / baseline),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50)
}

pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// The smallest and the largest sample.
fn spread(samples: &[f64]) -> String {
    if samples.len() < 2 {
        return String::new();
    }
    let [low, high] = [0, 100].map(|percent| digits(percentile(samples, percent)));
    format!("{low} to {high}")
}

/// Four significant digits; nothing for a figure that was not measured.
fn digits(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        0.0.. => format!("{value:.3}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_medians_spreads_and_the_ratio_to_the_baseline() {
        let mut table = Table::default();
        for value in [3.27, 3.24, 3.25] {
            table.add(Programs::Application, "1 worker", "hashes/s", value);
            table.add(Programs::Baseline, "1 worker", "hashes/s", value + 0.05);
        }
        table.add(Programs::Application, "standalone", "hashes/s", 3.19);
        let text = table.markdown();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "| 1 worker | hashes/s | 3.250 | 3.240 to 3.270 | 3.300 | 3.290 to 3.320 | 0.985 |",
            "| standalone | hashes/s | 3.190 |  |  |  |  |",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_percentile_is_the_sample_at_its_rank() {
        let samples = [4.0, 1.0, 5.0, 3.0, 2.0];
        for (percent, expected) in [(0, "1.000"), (50, "3.000"), (99, "4.000"), (100, "5.000")] {
            assert_eq!(digits(percentile(&samples, percent)), expected, "{percent}");
        }
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_number_has_about_four_digits() {
        let values = [3.3333, 33.333, 333.33, 3333.3, 0.0123];
        let shown = ["3.333", "33.33", "333.3", "3333", "0.012"];
        assert_eq!(values.map(digits), shown);
    }
}
