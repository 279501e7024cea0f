import assert from "node:assert/strict";
import test from "node:test";
import "./globals.js";
import { scale, ticks } from "../files/axes.js";

const samples = (...instants) => instants.map((instant) => ({ instant, trueSpeed: null }));

for (const [highest, expected] of [
  [3.3, [0, 1, 2, 3, 4]],
  [4, [0, 1, 2, 3, 4, 5]],
  [10, [0, 5, 10, 15]],
  [231, [0, 100, 200, 300]],
  [0.07, [0, 0.02, 0.04, 0.06, 0.08]],
]) {
  test(`the axis for ${highest} has round ticks, to at least 10 % above it`, () => {
    assert.deepEqual(ticks(highest), expected);
  });
}

test("without samples the axis is that for 4 hashes/second", () => {
  assert.deepEqual(scale([], []), [0, 1, 2, 3, 4, 5]);
});

test("one or two high samples do not change the axis", () => {
  assert.equal(scale([0, 2, 4, 6], samples(4, 4, 20, 4, 20)).at(-1), 6);
});

test("three high samples change the axis", () => {
  assert.equal(scale([0, 2, 4, 6], samples(20, 4, 20, 4, 20)).at(-1), 25);
});

test("the axis does not grow before a sample exceeds it", () => {
  assert.equal(scale([0, 2, 4, 6], samples(5.9, 5.9, 5.9)).at(-1), 6);
});

test("the axis keeps less than a third of unused room", () => {
  assert.equal(scale([0, 5, 10, 15], samples(9.9, 9.9, 9.9)).at(-1), 15);
});

test("the axis shrinks when a third is unused", () => {
  assert.equal(scale([0, 5, 10, 15], samples(4, 4, 4)).at(-1), 5);
});
