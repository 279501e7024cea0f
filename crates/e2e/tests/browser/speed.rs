//! The speeds: the formulas, an honest start, what follows a change.

use e2e::browser::Page;
use serde_json::{Value, json};

use crate::application::{Application, Webui, files};

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_true_speed_is_the_mean_of_the_dips_and_follows_more_workers() {
    let application = Application::start(1).await;
    let page = Page::open(&application.url).await;
    page.until("samples().length > 5 && samples().every((s) => s.trueSpeed === null)")
        .await;
    assert_eq!(page.text("speed").await, "~… hashes/second");
    assert_eq!(page.get("stretches('line') + stretches('guess')").await, 0);

    page.until("samples().length > 25").await;
    // A busy machine is slower than 3.33.
    let wrong =
        "samples().filter((s) => s.known && Math.abs(s.trueSpeed / number('average') - 1) > 0.1)";
    assert_eq!(page.get(wrong).await, json!([]));
    // The counter moves by 4, or not at all.
    page.until("samples().some((s) => s.instant === 0)").await;
    page.until("samples().some((s) => s.instant > 3.5 && s.instant < 4.5)")
        .await;

    application.add_workers(9);
    page.until("!samples().at(-1).known").await;
    page.until("samples().at(-1).known && stretches('line') === 2 && number('true') > 7")
        .await;
    let overshoot = "Math.max(...samples().map((s) => s.trueSpeed)) / number('true')";
    let overshoot = page.get(overshoot).await.as_f64().unwrap();
    assert!(overshoot < 1.1, "it overshoots by {overshoot}");
}

/// Workers whose counter is looked at once a second, and where their speeds are wrong.
///
/// Up to three workers count 4 each 1.2 s; ten count 1 each second, each at its own time.
const SIMULATION: &str = "
    const { add } = await import(new URL('history.js', location));
    const counter = (workers, t) => Array.from({ length: workers }, (_, i) => workers < 4
        ? 4 * Math.floor(t / 1.2 + i * 0.37) : Math.floor(t + i / workers)).reduce((a, b) => a + b, 0);
    const truth = (workers) => Math.min(workers * 10 / 3, 10);
    const phases = Array.from({ length: 12 }, (_, i) => i / 10);
    const wrong = [];
    // Looks at first workers, and after 60 seconds at others; in a gap nobody looks.
    const look = (phase, before, after, gap = 0) => {
        let samples = [];
        for (let t = 0; t < 140; t++) {
            if (t >= 60 && t < 60 + gap) continue;
            const jitter = 0.004 * Math.sin(7 * t);
            const change = 100 + phase + Math.min(t, 60);
            const h = counter(before, change) + counter(after, 100 + phase + t) - counter(after, change);
            const outage = gap && t === 60 + gap ? 'redis' : undefined;
            samples = add(samples, { t: t + jitter, h, coins: 0, outage });
        }
        return samples;
    };
    const check = (samples, name, right) => wrong.push(...samples.filter((s) => !right(s))
        .map((s) => `${name}: at ${s.t.toFixed(1)} s ${s.trueSpeed}, known ${s.known}`));
    const near = (speed, expected, part) => Math.abs(speed - expected) <= part * Math.max(expected, 0.5);
";

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_true_speed_is_not_told_before_it_is_known_within_6_per_cent() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    let body = format!(
        "{SIMULATION}
        for (const phase of phases) for (const workers of [1, 2, 3, 10]) {{
            check(look(phase, workers, workers), `${{workers}} workers`, ({{ t, trueSpeed, known }}) =>
                t < 11 ? trueSpeed === null : t < 13 || (known && near(trueSpeed, truth(workers), 0.06)));
            check(look(phase, workers, workers, 20), `${{workers}} workers, a gap`, ({{ t, trueSpeed, known }}) =>
                t < 61 || (t < 91 ? trueSpeed === null : t < 93 || (known && near(trueSpeed, truth(workers), 0.06))));
        }}
        return wrong.slice(0, 10);"
    );
    assert_eq!(page.run_async(&body).await, json!([]));
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_true_speed_follows_a_change_within_ten_seconds_without_overshoot() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    let body = format!(
        "{SIMULATION}
        const changes = [[1, 10], [10, 1], [1, 2], [2, 1], [1, 3], [3, 1], [0, 1], [10, 0]];
        for (const phase of phases) for (const [before, after] of changes) {{
            const [low, high] = [before, after].map(truth).sort((a, b) => a - b);
            check(look(phase, before, after).filter(({{ t }}) => t > 50), `from ${{before}} to ${{after}}`,
                ({{ t, trueSpeed, known }}) => trueSpeed <= high * 1.07 && trueSpeed >= low * 0.93
                && (t < 70.5 || near(trueSpeed, truth(after), 0.08)) && (t < 66 || t > 70 || !known));
        }}
        return wrong.slice(0, 10);"
    );
    assert_eq!(page.run_async(&body).await, json!([]));
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn the_formulas_hold() {
    let webui = Webui::without_redis(&files()).await;
    let page = Page::open(&webui.url).await;
    let mut wrong = Vec::new();
    for (sentence, expression, expected) in formulas() {
        let value = page
            .run_async(&format!(
                "const [{{ average, lastSeconds, slope, speed }}, {{ add }}, {{ scale, ticks }}, {{ read }}] =
                    await Promise.all(['speed', 'history', 'axes', 'state']
                        .map((file) => import(new URL(`${{file}}.js`, location))));
                const poll = (counter, times) =>
                    times.map((t) => ({{ t, h: counter(t), coins: 0 }})).reduce(add, []);
                const upTo = (seconds) => Array.from({{ length: seconds + 1 }}, (_, t) => t);
                const worker = (t) => 4 * Math.floor(t / 1.2);
                const steady = (t) => 4 * t;
                const last = (samples) => samples.at(-1);
                const rates = (...instants) =>
                    instants.map((instant) => ({{ instant, trueSpeed: null }}));
                return {expression};"
            ))
            .await;
        if value != expected {
            wrong.push(format!(
                "{sentence}: {expression} is {value}, not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What it is about, an expression, and its value.
#[rustfmt::skip]
fn formulas() -> Vec<(&'static str, &'static str, Value)> {
    let (unknown, webui) = (json!([null, null]), json!({ "state": "webui" }));
    let sample = |h| json!({ "t": 5.5, "h": h, "coins": 1 });
    vec![
        ("the speed is what the counter gains in a second",
            "speed({ t: 1, h: 10 }, { t: 3, h: 16 })", json!(3)),
        ("the speed is not known from one sample",
            "[last(poll(worker, [0])).trueSpeed, average(poll(worker, [0]))]", unknown.clone()),
        ("the instant speed dips where a worker has not counted",
            "poll(worker, upTo(8)).map((s) => s.instant)", json!([null, 0, 4, 4, 4, 4, 4, 0, 4])),
        ("the average is over all",
            "average(poll(worker, upTo(240))).toFixed(2)", json!("3.33")),
        ("the average begins at a restart of the counter",
            "average(poll((t) => (t < 100 ? 9 * t : t), upTo(200)))", json!(1)),
        ("the slope is from the earlier half to the later one",
            "slope([0, 0, 3, 3].map((h, t) => ({ t, h })))", json!(1.5)),
        ("the slope of one sample is not known", "slope([{ t: 0, h: 0 }])", json!(null)),
        ("a window of five seconds has six samples",
            "lastSeconds(poll(steady, upTo(60)), 5).map((s) => s.t)",
            json!([55, 56, 57, 58, 59, 60])),
        ("an outage begins a new run",
            "((s) => [s.instant, s.trueSpeed])(last(add(poll(steady, upTo(30)), \
                { t: 33, h: 132, outage: 'redis' })))", unknown.clone()),
        ("a tab in the background that polls once a minute has a speed",
            "poll(steady, [0, 60, 120]).map((s) => [s.instant, s.trueSpeed])",
            json!([[null, null], [4, 4], [4, 4]])),
        ("where nobody looked for long there is a gap, and a new run",
            "((s) => [s.instant, s.trueSpeed])(last(poll(steady, [0, 1, 2, 92])))", unknown.clone()),
        ("a restart of the counter begins a new run",
            "((s) => [s.instant, s.trueSpeed])(last(poll((t) => t % 10, upTo(10))))", unknown.clone()),
        ("a restart of the counter makes no negative speed",
            "poll((t) => t % 20, upTo(50)).some((s) => s.instant < 0 || s.trueSpeed < 0)",
            json!(false)),
        ("a restart of the counter makes no gap after it",
            "last(poll((t) => t % 10, upTo(11))).instant", json!(1)),
        ("a clock that is set back begins a new run",
            "add(poll(steady, [101, 102, 103]), { t: 102, h: 416 }).map((s) => [s.t, s.instant])",
            json!([[101, null], [102, null]])),
        ("a clock that jumps ahead leaves a gap",
            "last(poll(steady, [1, 2, 7200])).instant", json!(null)),
        ("an hour is kept", "poll(steady, upTo(4000)).length", json!(3600)),
        ("an axis ends a little above the highest", "ticks(3.3)", json!([0, 1, 2, 3, 4])),
        ("the highest does not touch the top", "ticks(4)", json!([0, 1, 2, 3, 4, 5])),
        ("an axis has round values", "ticks(10)", json!([0, 5, 10, 15])),
        ("a large axis has round values", "ticks(231)", json!([0, 100, 200, 300])),
        ("a small axis has round values", "ticks(0.07)", json!([0, 0.02, 0.04, 0.06, 0.08])),
        ("an axis without samples", "scale([], [])", json!([0, 1, 2, 3, 4, 5])),
        ("one sample or two do not change the axis",
            "scale([0, 2, 4, 6], rates(4, 4, 20, 4, 20)).at(-1)", json!(6)),
        ("three samples change the axis",
            "scale([0, 2, 4, 6], rates(20, 4, 20, 4, 20)).at(-1)", json!(25)),
        ("the axis does not change for a little more room",
            "scale([0, 2, 4, 6], rates(5.9, 5.9, 5.9)).at(-1)", json!(6)),
        ("the axis does not shrink a little", "scale([0, 5, 10, 15], rates(9.9, 9.9, 9.9)).at(-1)",
            json!(15)),
        ("the axis shrinks when a third is too much", "scale([0, 5, 10, 15], rates(4, 4, 4)).at(-1)",
            json!(5)),
        ("an answer is a sample", r#"read(200, '{"coins":1,"hashes":"12","now":5.5}')"#,
            json!({ "state": "live", "sample": sample(12) })),
        ("no counter yet is waiting", r#"read(200, '{"coins":1,"hashes":null,"now":5.5}')"#,
            json!({ "state": "waiting", "sample": sample(0) })),
        ("503 with its reason is redis", r#"read(503, '{"error":"redis is away"}')"#,
            json!({ "state": "redis" })),
        ("503 of something else", "read(503, 'Service Unavailable')", webui.clone()),
        ("503 without a reason", "read(503, '{}')", webui.clone()),
        ("a failure of a proxy", "read(502, '<html>')", webui.clone()),
        ("another page", "read(200, '<html>')", webui.clone()),
        ("nothing", "read(200, '')", webui.clone()),
        ("null", "read(200, 'null')", webui.clone()),
        ("another status", r#"read(404, '{"coins":1,"hashes":"1","now":5}')"#, webui.clone()),
        ("no time", r#"read(200, '{"coins":1,"hashes":"1"}')"#, webui.clone()),
        ("a time in words", r#"read(200, '{"coins":1,"hashes":"1","now":"5"}')"#, webui.clone()),
        ("no coins", r#"read(200, '{"hashes":"1","now":5}')"#, webui.clone()),
        ("no hashes", r#"read(200, '{"coins":1,"now":5}')"#, webui.clone()),
        ("no digits", r#"read(200, '{"coins":1,"hashes":"1e3","now":5}')"#, webui.clone()),
        ("below zero", r#"read(200, '{"coins":1,"hashes":"-1","now":5}')"#, webui.clone()),
        ("an empty counter", r#"read(200, '{"coins":1,"hashes":"","now":5}')"#, webui),
    ]
}
