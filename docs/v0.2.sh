#!/usr/bin/env bash
# Prints the build context of v0.2 of a service, made from its image of v0.1, for `docker build -`:
#
#     bash docs/v0.2.sh worker 127.0.0.1:5000/worker:v0.1 | docker build -t 127.0.0.1:5000/worker:v0.2 -
#
# worker is slow, the graph of webui is green, and rng does not start.
set -euo pipefail
cd "$(dirname "$0")/.."

# webui is an unprivileged user, who reads the file.
umask 022
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
sed 's/steelblue/seagreen/' webui/files/style.css >"$context/style.css"
{
    echo "FROM $2"
    case $1 in
        rng) echo ENV DELAY=soon ;;
        webui) echo COPY style.css /page/ ;;
        worker) echo ENV DELAY=2s ;;
    esac
} >"$context/Dockerfile"
tar -C "$context" -c .
