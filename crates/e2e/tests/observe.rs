//! The metrics of the running application, as a real Prometheus sees them.
//!
//!     cargo test -p e2e --test observe -- --ignored
//!
//! On Debian, `apt install prometheus curl`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path, thread::sleep, time::Duration};

use e2e::{BUILT, Namespace, Project, Running, inspect, root, sh, shell, until, yaml};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The files of `compose/observe.yml`.
const FILES: &str = "compose/observe";
/// The range of the rates in the queries, and a few scrapes.
const WINDOW: Duration = Duration::from_secs(36);
/// Prometheus starts, and reads an answer, within that.
const SOON: Duration = Duration::from_secs(30);

/// A running Prometheus.
struct Prometheus {
    url: String,
    _directory: TempDir,
    _process: Running,
}

impl Prometheus {
    /// Starts one, and waits until so many targets are up.
    fn start(config: &Value, targets: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        // JSON is YAML too.
        fs::write(directory.path().join("config"), config.to_string()).unwrap();
        let process = Running::start(shell(format!(
            "exec prometheus --config.file {path}/config --storage.tsdb.path {path}/data \
             --enable-feature exemplar-storage --web.listen-address 127.0.0.1:0"
        )));
        process.until(SOON, |log| log.contains("Server is ready"));
        let log = process.printed();
        let (_, address) = log.split_once("Listening on\" address=").unwrap();
        let prometheus = Self {
            url: format!("http://{}", address.split_whitespace().next().unwrap()),
            _directory: directory,
            _process: process,
        };
        let targets = u32::try_from(targets).unwrap();
        let up = || prometheus.value("count(up == 1)");
        until(SOON, || up() == Some(f64::from(targets)));
        prometheus
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

/// The configuration of the repository, and the targets of each job. On the host, the addresses of
/// the containers take the place of the DNS of their network.
fn configuration(project: &Project) -> (Value, BTreeMap<String, Vec<String>>) {
    let file = root().join(FILES).join("prometheus.yml");
    let mut config = yaml::parse(&fs::read_to_string(file).unwrap()).remove(0);
    let mut all = BTreeMap::new();
    config["rule_files"] = json!([root().join("charts/dockercoins/files/rules.yml")]);
    for scrape in config["scrape_configs"].as_array_mut().unwrap() {
        let dns = scrape["dns_sd_configs"][0].take();
        let job = scrape["job_name"].as_str().unwrap().to_owned();
        assert_eq!(dns["names"], json!([job]));
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let addresses = inspect(&project.containers(&job), address);
        let targets = addresses
            .iter()
            .map(|address| format!("{address}:{}", dns["port"]));
        let targets: Vec<_> = targets.collect();
        *scrape = json!({"job_name": job, "static_configs": [{"targets": targets}]});
        all.insert(job, targets);
    }
    (config, all)
}

/// The queries of a dashboard.
fn queries(dashboard: &str) -> Vec<String> {
    let file = format!("charts/dockercoins/files/dashboards/{dashboard}.json");
    let dashboard = fs::read_to_string(root().join(file)).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() >= 5);
    queries
}

// Fails when a query of the dashboard is another.
#[test]
fn each_query_of_the_dashboard_is_in_a_lab() {
    let labs = fs::read_to_string(root().join("docs/labs/observability.md")).unwrap();
    let queries = queries("dockercoins");
    assert!(queries.len() > 10);
    for query in queries {
        // Those of the three percentiles differ in a number.
        let query = query.replace("0.95, ", "0.5, ").replace("0.99, ", "0.5, ");
        assert!(labs.contains(&format!("\n{query}\n")), "no lab has {query}");
    }
}

// Fails when a metric is renamed, when rng's gauge is not decremented, when worker does not count a
// unit, with a help text or a suffix that promtool warns of, and without exemplars.
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
        let (config, targets) = configuration(&project);
        let prometheus = Prometheus::start(&config, targets.values().flatten().count());
        sleep(WINDOW);
        for query in [queries("dockercoins"), queries("objective")].concat() {
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
            for targets in targets.values() {
                sh!(
                    "curl -fsS http://{}/metrics | promtool check metrics",
                    targets[0]
                );
            }
            assert!(targets.keys().eq(BUILT));
            let exemplars = "query=http_request_duration_seconds_bucket{job=\"hasher\"}";
            let exemplars = sh!(
                "curl -fsSG --data-urlencode '{exemplars}' -d start=0 -d end=$(date +%s) {}/api/v1/query_exemplars",
                prometheus.url
            );
            assert!(exemplars.contains("\"trace_id\":"), "{exemplars}");
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

/// Writes what the Prometheus of the chart discovers: the pods of the Services that are annotated. That
/// of Debian cannot discover them. Through the proxy of `kubectl`, which each of them has a path of.
fn write_targets(namespace: &Namespace, file: &Path) {
    let mut groups = Vec::new();
    for service in namespace.get("services") {
        let annotation =
            |name: &str| &service["metadata"]["annotations"][format!("prometheus.io/{name}")];
        if annotation("scrape") != "true" {
            continue;
        }
        let (name, port) = (
            service["metadata"]["name"].as_str().unwrap(),
            annotation("port").as_str().unwrap(),
        );
        for pod in namespace.running(name) {
            let pod = pod["metadata"]["name"].as_str().unwrap();
            let url = namespace.url(&format!("pods/{pod}:{port}"));
            let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
            let labels = json!({
                "__metrics_path__": format!("/{path}/metrics"),
                "instance": pod, "namespace": namespace.name, "service": name,
            });
            groups.push(json!({"targets": [address], "labels": labels}));
        }
    }
    // Prometheus reads it when it is renamed.
    let new = file.with_extension("new");
    fs::write(&new, Value::from(groups).to_string()).unwrap();
    fs::rename(new, file).unwrap();
}

/// The query of the adapter's rule, for the Service that the autoscaler names.
fn rule(service: &str) -> String {
    let parse = |file: &str| yaml::parse(&fs::read_to_string(root().join(file)).unwrap()).remove(0);
    let adapter = parse("k8s/autoscaling/adapter.yaml");
    let rules = yaml::parse(adapter["data"]["config.yaml"].as_str().unwrap()).remove(0);
    let rule = &rules["rules"][0];
    let object = &parse("k8s/autoscaling/hpa.yaml")["spec"]["metrics"][0]["object"];
    assert_eq!(object["metric"]["name"], rule["name"]["as"]);
    assert_eq!(object["describedObject"]["name"], service);
    assert_eq!(object["target"]["value"], "100m");
    let query = rule["metricsQuery"].as_str().unwrap();
    let query = query.replace("<<.GroupBy>>", "service");
    query.replace("<<.LabelMatchers>>", &format!("service=\"{service}\""))
}

/// The time in the queue that the autoscaler aims at, in seconds.
const TARGET: f64 = 0.1;

/// The autoscaler's own loop: every 15 s, the ratio of the metric and its target. Without the five
/// minutes that it waits before it scales down.
// Fails with another target, when the annotation is another, and when rng does not record the time in
// its queue.
#[test]
#[ignore = "needs a Kubernetes cluster and Prometheus, and builds the images"]
fn autoscaling_rng_by_its_queue_ends_the_waiting_and_oscillates() {
    let namespace = Namespace::new("autoscaling");
    namespace.apply();
    let annotate = sh!("grep -h '^kubectl annotate' docs/observability.md");
    namespace.sh(&annotate);
    namespace.scale(10);
    let directory = tempfile::tempdir().unwrap();
    let targets = directory.path().join("targets.json");
    write_targets(&namespace, &targets);
    let discovery = json!([{"job_name": "annotated", "file_sd_configs": [{"files": [targets]}]}]);
    let config = json!({"global": {"scrape_interval": "2s"}, "scrape_configs": discovery});
    let prometheus = Prometheus::start(&config, 1);
    let (query, mut replicas) = (rule("rng"), 1.0);
    // Above the target, below it, and above it again.
    let mut expected = [true, false, true].into_iter().peekable();
    for _ in 0..40 {
        sleep(Duration::from_secs(15));
        write_targets(&namespace, &targets);
        let waits = prometheus.query(&query);
        println!("{replicas} replicas of rng: a request waits {waits:.3?} s");
        let &[wait] = &waits[..] else { continue };
        if !wait.is_finite() {
            continue;
        }
        expected.next_if_eq(&(wait > TARGET));
        if expected.peek().is_none() {
            return;
        }
        let ratio = wait / TARGET;
        if (ratio - 1.0).abs() > 0.1 {
            replicas = f64::clamp((replicas * ratio).ceil(), 1.0, 20.0);
            namespace.sh(&format!(
                "kubectl scale deployment rng --replicas={replicas}"
            ));
        }
    }
    panic!("the queue does not oscillate around {TARGET} s");
}
