import assert from "node:assert/strict";
import test from "node:test";
import { last, poll, steady, upTo, worker } from "./samples.js";
import { add } from "../files/history.js";
import { average, lastSeconds, slope, speed } from "../files/speed.js";

test("the speed is the gain of the counter in a second", () => {
  assert.equal(speed({ t: 1, h: 10 }, { t: 3, h: 16 }), 3);
});

test("the speed is unknown from one sample", () => {
  const samples = poll(worker, [0]);
  assert.equal(last(samples).trueSpeed, null);
  assert.equal(average(samples), null);
});

test("the average is over all samples", () => {
  assert.equal(average(poll(worker, upTo(240))).toFixed(2), "3.33");
});

test("the average begins at a reset of the counter", () => {
  assert.equal(average(poll((t) => (t < 100 ? 9 * t : t - 100), upTo(200))), 1);
});

test("the slope is from the earlier half to the later one", () => {
  assert.equal(slope([0, 0, 3, 3].map((h, t) => ({ t, h }))), 1.5);
});

test("the slope of one sample is unknown", () => {
  assert.equal(slope([{ t: 0, h: 0 }]), null);
});

test("a window of five seconds has six samples", () => {
  const times = lastSeconds(poll(steady, upTo(60)), 5).map(({ t }) => t);
  assert.deepEqual(times, [55, 56, 57, 58, 59, 60]);
});

// The counter at time t: up to three workers count 4 each 1.2 s, each at its own time; ten, which wait for
// rng, count 1 each second.
function counter(workers, t) {
  const count = (i) => (workers < 4 ? 4 * Math.floor(t / 1.2 + i * 0.37) : Math.floor(t + i / workers));
  return Array.from({ length: workers }, (_, i) => count(i)).reduce((a, b) => a + b, 0);
}

const truth = (workers) => Math.min((workers * 10) / 3, 10);
const PHASES = Array.from({ length: 12 }, (_, i) => i / 10);

// 140 seconds of polls. At 60 s the number of workers changes; during a gap from then on, nothing polls.
function simulate(phase, before, after, gap = 0) {
  let samples = [];
  for (let t = 0; t < 140; t++) {
    if (t >= 60 && t < 60 + gap) continue;
    const jitter = 0.004 * Math.sin(7 * t);
    const change = 100 + phase + Math.min(t, 60);
    const h = counter(before, change) + counter(after, 100 + phase + t) - counter(after, change);
    const outage = gap && t === 60 + gap ? "redis" : undefined;
    samples = add(samples, { t: t + jitter, h, coins: 0, outage });
  }
  return samples;
}

function check(samples, isRight) {
  assert.deepEqual(samples.filter((sample) => !isRight(sample)), []);
}

const near = (speed, expected, part) => Math.abs(speed - expected) <= part * Math.max(expected, 0.5);

for (const workers of [1, 2, 3, 10]) {
  const known = ({ known, trueSpeed }) => known && near(trueSpeed, truth(workers), 0.06);

  test(`the true speed of ${workers} workers is shown once it is known within 6 %`, () => {
    for (const phase of PHASES) {
      check(simulate(phase, workers, workers), (sample) =>
        sample.t < 11 ? sample.trueSpeed === null : sample.t < 13 || known(sample),
      );
    }
  });

  test(`the true speed of ${workers} workers is unknown again after a gap`, () => {
    for (const phase of PHASES) {
      check(simulate(phase, workers, workers, 20), (sample) => {
        if (sample.t < 61) return true;
        return sample.t < 91 ? sample.trueSpeed === null : sample.t < 93 || known(sample);
      });
    }
  });
}

for (const [before, after] of [[1, 10], [10, 1], [1, 2], [2, 1], [1, 3], [3, 1], [0, 1], [10, 0]]) {
  test(`the true speed follows a change from ${before} to ${after} workers in ten seconds, without overshoot`, () => {
    const [low, high] = [before, after].map(truth).sort((a, b) => a - b);
    for (const phase of PHASES) {
      const samples = simulate(phase, before, after).filter(({ t }) => t > 50);
      check(samples, ({ trueSpeed }) => trueSpeed <= high * 1.07 && trueSpeed >= low * 0.93);
      check(samples, ({ t, trueSpeed }) => t < 70.5 || near(trueSpeed, truth(after), 0.08));
      check(samples, ({ t, known }) => t < 66 || t > 70 || !known);
    }
  });
}
