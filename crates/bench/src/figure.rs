//! A figure: what was measured, and the limit that was measured beside it.

use serde::Serialize;

/// One row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    unit: &'static str,
    /// One for each repetition.
    samples: Vec<f64>,
    limit: Option<Limit>,
    /// What distorts it.
    pub(crate) note: Option<String>,
}

/// What the machine allows, measured in the same run.
#[derive(Debug, Serialize)]
struct Limit {
    of: &'static str,
    samples: Vec<f64>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            samples,
            limit: None,
            note: None,
        }
    }

    /// With the limit `of` these programs.
    pub(crate) fn limit(mut self, of: &'static str, samples: Vec<f64>) -> Self {
        self.limit = Some(Limit { of, samples });
        self
    }

    /// The cells of its row; [`HEAD`] names them.
    pub(crate) fn row(&self) -> [String; 6] {
        let median = median(&self.samples);
        let (limit, share) = match &self.limit {
            Some(Limit { of, samples }) => {
                let limit = self::median(samples);
                let share = format!("{:.1} %", 100.0 * median / limit);
                (format!("{}, {of}", digits(limit)), share)
            }
            None => Default::default(),
        };
        [
            self.name.clone(),
            format!("{} {}", digits(median), self.unit),
            spread(&self.samples),
            self.samples.len().to_string(),
            limit,
            share,
        ]
    }
}

/// The head of the table.
pub(crate) const HEAD: [&str; 6] = ["figure", "median", "spread", "n", "limit", "of the limit"];

pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are fewer than 2^52 samples"
)]
pub(crate) fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The sample below which so many percent of them lie, interpolated.
pub(crate) fn percentile(samples: &[f64], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are fewer than 2^52 samples"
    )]
    let rank = percent / 100.0 * sorted.len().saturating_sub(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is an index into the samples"
    )]
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * rank.fract(),
        _ => f64::NAN,
    }
}

/// The smallest and the largest sample.
fn spread(samples: &[f64]) -> String {
    let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let high = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if samples.len() > 1 {
        format!("{} to {}", digits(low), digits(high))
    } else {
        String::new()
    }
}

/// As many decimals as say something.
fn digits(value: f64) -> String {
    match value.abs() {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_median_spread_repetitions_and_share_of_the_limit() {
        let figure = Figure::new("1 worker", "hashes/s", vec![3.27, 3.24, 3.25]);
        let row = figure.limit("bare programs", vec![3.3, 3.2]).row();
        let cells = [
            "1 worker",
            "3.250 hashes/s",
            "3.240 to 3.270",
            "3",
            "3.250, bare programs",
            "100.0 %",
        ];
        assert_eq!(row, cells);
    }

    #[test]
    fn a_single_sample_has_no_spread_and_a_figure_may_have_no_limit() {
        let row = Figure::new("image of rng", "MB", vec![3.126_696]).row();
        assert_eq!(row, ["image of rng", "3.127 MB", "", "1", "", ""]);
    }

    #[test]
    fn percentiles_are_interpolated_between_samples() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        for (percent, expected) in [(0.0, 1.0), (50.0, 2.5), (90.0, 3.7), (100.0, 4.0)] {
            let percentile = percentile(&samples, percent);
            assert!(
                (percentile - expected).abs() < 1e-9,
                "{percent}: {percentile}"
            );
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
