use std::env;

use anyhow::Result;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};

/// Checks `property` for this many `cases`, or as many as `PROPTEST_CASES` says.
///
/// # Panics
///
/// When it does not hold, with the error for the smallest input found. Put that input into a test
/// of its own: no file keeps it.
pub fn check<S: Strategy>(cases: u32, inputs: &S, property: impl Fn(S::Value) -> Result<()>) {
    let config = Config::default();
    let cases = match env::var_os("PROPTEST_CASES") {
        Some(_) => config.cases,
        None => cases,
    };
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..config
    });
    let fail = |error| TestCaseError::fail(format!("{error:#}"));
    match runner.run(inputs, |input| property(input).map_err(fail)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}
