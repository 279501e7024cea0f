//! The metrics of the running application, as a real Prometheus sees them.
//!
//!     cargo test -p e2e --test observe -- --ignored
//!
//! On Debian, `apt install prometheus curl`.
#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, thread::sleep, time::Duration};

use e2e::{BUILT, Project, Running, inspect, root, sh, shell, until, yaml};
use serde_json::Value;
use tempfile::TempDir;

/// The files of `compose/observe.yml`.
const FILES: &str = "compose/observe";
/// The range of the rates in the queries, and a few scrapes.
const WINDOW: Duration = Duration::from_secs(36);
/// Prometheus starts, and reads an answer, within that.
const SOON: Duration = Duration::from_secs(30);

/// A Prometheus that scrapes the containers of a project.
struct Prometheus {
    url: String,
    targets: BTreeMap<String, Vec<String>>,
    directory: TempDir,
    _process: Running,
}

impl Prometheus {
    /// Its configuration is the one of the repository; on the host, the addresses of the containers
    /// take the place of the DNS of their network.
    fn start(project: &Project) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let mut text = fs::read_to_string(root().join(FILES).join("prometheus.yml")).unwrap();
        let config = yaml::parse(&text).remove(0);
        let mut targets = BTreeMap::new();
        for scrape in config["scrape_configs"].as_array().unwrap() {
            let (job, dns) = (&scrape["job_name"], &scrape["dns_sd_configs"][0]);
            let job = job.as_str().unwrap();
            assert_eq!(dns["names"][0], job);
            let addresses = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let addresses = inspect(&project.containers(job), addresses);
            let target = |address: String| format!("{address}:{}", dns["port"]);
            targets.insert(job.to_owned(), addresses.into_iter().map(target).collect());
            text = text.replace(
                &format!(
                    "- names: [{job}]\n        type: A\n        port: {}\n",
                    dns["port"]
                ),
                &format!("- files: ['{path}/{job}.json']\n"),
            );
        }
        let text = text.replace("dns_sd_configs", "file_sd_configs");
        fs::write(directory.path().join("prometheus.yml"), text).unwrap();
        let process = Running::start(shell(format!(
            "exec prometheus --config.file {path}/prometheus.yml --storage.tsdb.path {path}/data \
             --web.listen-address 127.0.0.1:0"
        )));
        let address = |log: &str| {
            let (_, address) = log.split_once("Listening on\" address=")?;
            Some(address.split_whitespace().next()?.to_owned())
        };
        process.until(SOON, |log| address(log).is_some());
        let prometheus = Self {
            url: format!("http://{}", address(&process.printed()).unwrap()),
            targets,
            directory,
            _process: process,
        };
        prometheus.scrape();
        prometheus
    }

    /// Waits until all targets are up, and no others.
    fn scrape(&self) {
        let mut number = 0;
        for (job, targets) in &self.targets {
            let list = serde_json::json!([{ "targets": targets }]).to_string();
            fs::write(self.directory.path().join(format!("{job}.json")), list).unwrap();
            number += targets.len();
        }
        let number = u32::try_from(number).unwrap();
        until(SOON, || {
            self.value("count(up == 1)") == Some(f64::from(number))
        });
    }

    /// The value of each series that answers a query.
    fn query(&self, query: &str) -> Vec<f64> {
        let query = format!("curl -fsSG --data-urlencode 'query={query}'");
        let answer = sh!("{query} {}/api/v1/query", self.url);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(value).collect()
    }

    /// The value of the only series.
    fn value(&self, query: &str) -> Option<f64> {
        match self.query(query)[..] {
            [value] => Some(value),
            _ => None,
        }
    }
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let file = root()
        .join(FILES)
        .join("grafana/dashboards/dockercoins.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() > 10);
    queries
}

// Fails when a query of the dashboard is another.
#[test]
fn each_query_of_the_dashboard_is_in_a_lab() {
    let labs = fs::read_to_string(root().join("docs/observability.md")).unwrap();
    for query in queries() {
        // Those of the three percentiles differ in a number.
        let query = query.replace("0.95, ", "0.5, ").replace("0.99, ", "0.5, ");
        assert!(labs.contains(&format!("\n{query}\n")), "no lab has {query}");
    }
}

// Fails when a metric is renamed, when rng's gauge is not decremented, when worker does not count a
// unit, and with a help text or a suffix that promtool warns of.
#[test]
#[ignore = "needs a Docker engine and Prometheus"]
fn prometheus_finds_the_bottleneck_and_agrees_with_redis() {
    let project = Project::new("observe");
    for (workers, speed, rng, length) in [
        (1, 3.0..3.4, 0.1..0.12, 0.0..0.1),
        (3, 8.5..10.1, 0.1..0.2, 0.0..1.0),
        (10, 9.3..10.1, 0.7..0.85, 6.3..7.3),
    ] {
        project.scale(workers);
        let prometheus = Prometheus::start(&project);
        sleep(WINDOW);
        for query in queries() {
            let values = prometheus.query(&query);
            println!("{workers} workers: {query}: {values:.3?}");
            assert!(
                !values.is_empty() && values.iter().all(|value| value.is_finite()),
                "{query}"
            );
        }
        let value = |query: &str| prometheus.value(query).unwrap();
        let measured = value("sum(rate(worker_units_total[30s]))");
        assert!(speed.contains(&measured), "{measured} hashes/second");
        let step = "worker_step_duration_seconds";
        let measured = value(&format!(
            r#"sum(rate({step}_sum{{step="rng"}}[30s])) / sum(rate({step}_count{{step="rng"}}[30s]))"#
        ));
        assert!(rng.contains(&measured), "{measured} s at rng");
        let measured = value("sum(avg_over_time(rng_queue_length[30s]))");
        assert!(
            length.contains(&measured),
            "{measured} requests in the queue"
        );
        if workers == 10 {
            agrees_with_redis(&project, &prometheus);
            for targets in prometheus.targets.values() {
                sh!(
                    "curl -fsS http://{}/metrics | promtool check metrics",
                    targets[0]
                );
            }
            assert!(prometheus.targets.keys().eq(BUILT));
        }
    }
}

/// Within what the workers do between two scrapes, and between two updates of the counter.
fn agrees_with_redis(project: &Project, prometheus: &Prometheus) {
    let webui = project.webui();
    let before = webui.hashes();
    sleep(Duration::from_secs(30));
    let counted = webui.hashes() - before;
    let increase = prometheus
        .value("sum(increase(worker_units_total[30s]))")
        .unwrap();
    let difference = increase - f64::from(u32::try_from(counted).unwrap());
    assert!(
        difference.abs() <= 30.0,
        "{increase}, but redis counted {counted}"
    );
}
