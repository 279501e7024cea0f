import assert from "node:assert/strict";
import test from "node:test";
import "./globals.js";
import { read } from "../files/state.js";

for (const [name, status, text, expected] of [
  ["a counter", 200, '{"coins":1,"hashes":"12","now":5.5}', { state: "live", sample: { t: 5.5, h: 12, coins: 1 } }],
  ["no counter yet", 200, '{"coins":1,"hashes":null,"now":5.5}', { state: "waiting", sample: { t: 5.5, h: 0, coins: 1 } }],
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
  test(`${name}: ${expected.state}`, () => assert.deepEqual(read(status, text), expected));
}
