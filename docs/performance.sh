#!/usr/bin/env bash
# Prints the figures of performance.md, each measured three times:
#
#     bash docs/performance.sh                # all
#     bash docs/performance.sh load memory    # only these sections
#     COMPOSE=docker-compose DOCKER_BUILDKIT=0 bash docs/performance.sh build    # the classic builder
#
# Needs Linux, Rust, a Docker engine, Compose 2.24, hyperfine, ab and curl.
set -euo pipefail
cd "$(dirname "$0")/.."

speed() {
    printf '\n### Speed and latency\n\n'
    cargo run --release --locked --quiet -p bench
}

load() {
    title "Load: ab with ten connections, without delays and access log" requests/s
    echo "32 bytes, as many as rng returns" >"$work/body"
    for programs in application baseline; do
        DELAY=0 RUST_LOG=info,access=off up "$programs" 0
        requests rng /32 | row "rng, GET /32: $programs"
        requests hasher / -p "$work/body" -T application/octet-stream | row "hasher, POST /: $programs"
        requests webui /json | row "webui, GET /json: $programs"
        [[ $programs = baseline ]] || requests webui /index.html | row "webui, GET /index.html: $programs"
    done
}

memory() {
    title "Memory: process_resident_memory_bytes, a minute after the start of ten workers" MiB
    for _ in 1 2 3; do
        up application 10 && sleep 60
        for service in rng:80 hasher:80 worker:9464 webui:80; do
            curl -fsS "http://$(address "${service%:*}"):${service#*:}/metrics" |
                awk '/^process_resident_memory_bytes/ {print $2 / 2 ^ 20}' >>"$work/$service"
        done
    done
    for service in rng:80 hasher:80 worker:9464 webui:80; do row "${service%:*}" <"$work/$service"; done
}

start() {
    title "Start and stop: hyperfine" s
    for programs in application baseline; do
        up "$programs" 1
        seconds "up to the first units in redis: $programs" "docker compose down --volumes" \
            "docker compose up --detach; grep -qm 1 '[1-9] units' <(docker compose logs --follow worker)"
        seconds "stop with ten workers: $programs" "docker compose up --detach --scale worker=10; sleep 3" \
            "docker compose stop"
    done
}

build() {
    title "Build: hyperfine" s
    docker compose down --volumes
    git ls-files -z | xargs -0 cp --parents -t "$work"
    export COMPOSE_PROJECT_NAME=performance-build COMPOSE_FILE=$work/docker-compose.yml
    seconds "${COMPOSE:=docker compose} build, cold" "date '+# %s%N' >>$work/Cargo.toml" "$COMPOSE build"
    seconds "$COMPOSE build, after an edit of rng" "date '+// %s%N' >>$work/rng/src/lib.rs" "$COMPOSE build"
    printf '\n### Images: docker image ls\n\n| image | size |\n| --- | --- |\n'
    docker image ls --format "| {{.Repository}} | {{.Size}} |" "$COMPOSE_PROJECT_NAME*"
}

up() { # application or baseline, workers; ends what ran before
    docker compose down --volumes
    export COMPOSE_PROJECT_NAME=performance-$1 COMPOSE_FILE=docker-compose.yml:crates/bench/compose.yml
    [[ $1 = application ]] || COMPOSE_FILE+=:crates/bench/baseline.yml
    docker compose up --build --detach --scale "worker=$2" >/dev/null
}

address() { # service
    container=$(docker compose ps --quiet "$1" | sed 1q)
    docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$container"
}

requests() { # service, path, arguments of ab
    # Each request takes a local port for a minute, and a client has 28,000 for one server.
    for _ in 1 2 3; do
        ab -q -l -n 4000 -c 10 "${@:3}" "http://$(address "$1")$2" |
            awk '/^Non-2xx/ {exit 1} /^Requests per second/ {print $4}'
    done
}

seconds() { # name, preparation, command
    hyperfine --shell bash --runs 3 --prepare "$2" --export-csv "$work/csv" --command-name - "$3" >/dev/null
    awk -F , 'NR == 2 {print $7 "\n" $4 "\n" $8}' "$work/csv" | row "$1"
}

title() { # title, unit
    printf '\n### %s\n\n| | %s | spread |\n| --- | --- | --- |\n' "$1" "$2"
}

row() { # name; three values from standard input
    sort -g | paste -s | awk -v "name=$1" '{printf "| %s | %.5g | %.5g to %.5g |\n", name, $2, $1, $3}'
}

work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=performance-application
trap 'docker compose down --volumes
    docker image ls --format "{{.Repository}}" "performance-*" | xargs -r docker rmi >&2; rm -r "$work"' EXIT
lscpu | sed -n 's/^Model name: */Measured on /p'
docker info --format '({{.NCPU}} cores), Linux {{.KernelVersion}}, Docker {{.ServerVersion}} ({{.Driver}}).'
(($#)) || set -- speed load memory start build
for section; do "$section"; done
