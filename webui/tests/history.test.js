import assert from "node:assert/strict";
import test from "node:test";
import { last, poll, rates, steady, upTo, worker } from "./samples.js";
import { add, load, save } from "../files/history.js";

const KEY = "dockercoins /index.html";

test("the instant speed dips where a worker has not counted", () => {
  const instants = poll(worker, upTo(8)).map(({ instant }) => instant);
  assert.deepEqual(instants, [null, 0, 4, 4, 4, 4, 4, 0, 4]);
});

test("after an outage the speeds are unknown", () => {
  const samples = add(poll(steady, upTo(30)), { t: 33, h: 132, outage: "redis" });
  assert.deepEqual(rates(last(samples)), [null, null]);
});

test("a tab in the background, which polls once a minute, has a speed", () => {
  assert.deepEqual(poll(steady, [0, 60, 120]).map(rates), [[null, null], [4, 4], [4, 4]]);
});

test("after a long time without polls the speeds are unknown", () => {
  assert.deepEqual(rates(last(poll(steady, [0, 1, 2, 92]))), [null, null]);
});

test("at a reset of the counter the speeds are unknown", () => {
  assert.deepEqual(rates(last(poll((t) => t % 10, upTo(10)))), [null, null]);
});

test("after a reset of the counter the next instant speed is known", () => {
  assert.equal(last(poll((t) => t % 10, upTo(11))).instant, 1);
});

test("a reset of the counter never yields a negative speed", () => {
  const speeds = poll((t) => t % 20, upTo(50)).flatMap(rates);
  assert.deepEqual(speeds.filter((speed) => speed < 0), []);
});

test("a clock that is set back replaces the samples after it", () => {
  const samples = add(poll(steady, [101, 102, 103]), { t: 102, h: 416 });
  assert.deepEqual(samples.map(({ t, instant }) => [t, instant]), [[101, null], [102, null]]);
});

test("a clock that jumps ahead leaves a gap", () => {
  assert.equal(last(poll(steady, [1, 2, 7200])).instant, null);
});

test("the last hour is kept", () => {
  const samples = poll(steady, upTo(4000));
  assert.deepEqual([samples.length, samples[0].t], [3600, 401]);
});

test("a history is saved and loaded, for this path", () => {
  const served = poll(worker, upTo(20)).map((sample) => ({ ...sample, server: "webui 1.0.0 on a" }));
  const history = { samples: served, events: [{ t: 3, word: "back" }], clock: 0.5, away: "redis" };
  save(history);
  assert.deepEqual(Object.keys(localStorage), [KEY]);
  assert.equal(JSON.stringify(load()), JSON.stringify(history));
});

test("the speeds of a saved history are computed again", () => {
  localStorage[KEY] = '{"samples":[{"t":1,"h":2,"coins":3,"instant":"<b>","trueSpeed":{}}],"events":[]}';
  assert.deepEqual(load().samples.map(rates), [[null, null]]);
});

test("samples and events of another type are ignored", () => {
  localStorage[KEY] = '{"samples":[{"t":"1","h":2,"coins":3},{"t":1,"h":null,"coins":3}],"events":[{"t":"x"}]}';
  const { samples, events } = load();
  assert.deepEqual({ samples, events }, { samples: [], events: [] });
});

for (const saved of [
  "",
  "{",
  "5",
  "null",
  "{}",
  "[]",
  '{"samples":[null],"events":[],"clock":0}',
  '{"samples":["text"],"events":5,"clock":{}}',
  '{"samples":[{"t":1,"h":null,"coins":3}],"events":[null],"clock":0}',
]) {
  test(`an invalid history is ignored: ${saved}`, () => {
    localStorage[KEY] = saved;
    assert.deepEqual(load(), { samples: [], events: [], clock: 0 });
  });
}
