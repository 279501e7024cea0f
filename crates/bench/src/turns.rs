//! The application and the bare programs take turns, so that whatever else the machine does meets
//! both alike.

use anyhow::Result;

use crate::{
    Bench,
    figure::Figure,
    stack::{Programs, Stack},
};

/// What the limit of most figures is measured on.
pub(crate) const BARE: &str = "bare programs";

/// What was measured once: the name of its figure, the unit, the value.
pub(crate) type Value = (String, &'static str, f64);

/// Measures a stack of the application and one of the bare programs in turn: each value becomes a
/// figure, whose limit is what the bare programs gave.
pub(crate) fn in_turns(
    bench: &Bench,
    delay: &str,
    measure: impl Fn(&Stack) -> Result<Vec<Value>>,
) -> Result<Vec<Figure>> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.effort.rounds {
        for (programs, measured) in [(Programs::Ours, &mut ours), (Programs::Bare, &mut bare)] {
            let stack = Stack::new(&bench.images, programs, delay)?;
            measured.push(measure(&stack)?);
        }
    }
    Ok(figures(&ours, BARE, &bare))
}

/// Of the repetitions of one measurement, and those of its limit.
pub(crate) fn figures(ours: &[Vec<Value>], of: &'static str, limit: &[Vec<Value>]) -> Vec<Figure> {
    let samples = |repetitions: &[Vec<Value>], n: usize| -> Vec<f64> {
        let values = repetitions.iter().filter_map(|values| values.get(n));
        values.map(|(_, _, value)| *value).collect()
    };
    let names = ours.first().into_iter().flatten().enumerate();
    names
        .map(|(n, (name, unit, _))| {
            Figure::new(name, unit, samples(ours, n)).limit(of, samples(limit, n))
        })
        .collect()
}
