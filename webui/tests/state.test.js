import assert from "node:assert/strict";
import test from "node:test";
import "./globals.js";
import { newServer, read } from "../files/state.js";

for (const [name, status, text, expected] of [
  ["a counter", 200, '{"coins":1,"hashes":"12","now":5.5}', { state: "live", sample: { t: 5.5, h: 12, coins: 1, server: "x" } }],
  ["no counter yet", 200, '{"coins":1,"hashes":null,"now":5.5}', { state: "waiting", sample: { t: 5.5, h: 0, coins: 1, server: "x" } }],
  ["503 with an error", 503, '{"error":"redis is unavailable"}', { state: "redis" }],
  ["503 in plain text", 503, "Service Unavailable", { state: "webui" }],
  ["503 without an error", 503, "{}", { state: "webui" }],
  ["500 with an error", 500, '{"error":"redis is unavailable"}', { state: "webui" }],
  ["the error of a proxy", 502, "<html>", { state: "webui" }],
  ["another page", 200, "<html>", { state: "webui" }],
  ["an empty body", 200, "", { state: "webui" }],
  ["null", 200, "null", { state: "webui" }],
  ["another status", 404, '{"coins":1,"hashes":"1","now":5}', { state: "webui" }],
  ["no time", 200, '{"coins":1,"hashes":"1"}', { state: "webui" }],
  ["a time that is a string", 200, '{"coins":1,"hashes":"1","now":"5"}', { state: "webui" }],
  ["no coins", 200, '{"hashes":"1","now":5}', { state: "webui" }],
  ["no hashes", 200, '{"coins":1,"now":5}', { state: "webui" }],
  ["a counter with an exponent", 200, '{"coins":1,"hashes":"1e3","now":5}', { state: "webui" }],
  ["a negative counter", 200, '{"coins":1,"hashes":"-1","now":5}', { state: "webui" }],
  ["an empty counter", 200, '{"coins":1,"hashes":"","now":5}', { state: "webui" }],
]) {
  test(`${name}: ${expected.state}`, () => assert.deepEqual(read(status, text, "x"), expected));
}

const old = Array(300).fill("webui 1.0.0 on a");
for (const [name, servers, server, expected] of [
  ["the same server", ["webui 1.0.0 on a"], "webui 1.0.0 on a", undefined],
  ["a second replica", ["webui 1.0.0 on a"], "webui 1.0.0 on b", "b"],
  ["a host whose name begins with another's", ["webui 1.0.0 on ab"], "webui 1.0.0 on a", "a"],
  ["two hosts in turn", ["webui 1.0.0 on a", "webui 1.0.0 on b"], "webui 1.0.0 on a", undefined],
  ["a canary in turn", ["webui 1.0.0 on a", "webui 1.1.0 on b"], "webui 1.0.0 on a", undefined],
  ["a rollout", ["webui 1.0.0 on a"], "webui 1.1.0 on b", "v1.1.0"],
  ["a rollout on the same host", ["webui 1.0.0 on a"], "webui 1.0.1 on a", "v1.0.1"],
  ["a version that another begins with", ["webui 1.0.10 on a"], "webui 1.0.1 on a", "v1.0.1"],
  ["another commit", ["webui 1.0.0 (0123456) on a"], "webui 1.0.0 (789abcd) on b", "v1.0.0 (789abcd)"],
  ["a server that left the graph", [...old, ...Array(250).fill("webui 1.1.0 on b")], "webui 1.0.0 on a", "v1.0.0"],
  ["the original's webui", ["webui 1.0.0 on a"], null, undefined],
  ["ours after the original's", [null], "webui 1.0.0 on a", undefined],
  ["the first server", [], "webui 1.0.0 on a", undefined],
  ["a saved sample of another type", [{}], "webui 1.0.0 on a", "v1.0.0"],
]) {
  test(`the marker of ${name}: ${expected}`, () => {
    assert.equal(newServer(servers.map((server) => ({ server })), server), expected);
  });
}
