// The samples and events of the last hour, which survive a reload.

import { speed, trueSpeed } from "./speed.js";

const HOUR = 3600;
// Browsers throttle a background tab to a poll a minute: its mean is still valid.
const LONGEST_MEAN = 90;

// A run ends at an outage, a reset of the counter, or a step back of the clock.
const follows = (a, b) => b.h >= a.h && b.t > a.t && b.t - a.t < LONGEST_MEAN && !b.outage;

// Appends a sample with its speeds; instant is null at the start of a run.
export function add(samples, polled) {
  const sample = { ...polled, instant: null };
  const past = samples.filter(({ t }) => t < sample.t && t > sample.t - HOUR);
  if (samples.length && follows(samples.at(-1), sample)) sample.instant = speed(past.at(-1), sample);
  const recent = [...past.slice(-100), sample];
  const run = recent.slice(Math.max(recent.findLastIndex(({ instant }) => instant === null), 0));
  return [...past, Object.assign(sample, trueSpeed(run))];
}

// One history per path: several webuis may share an origin.
const KEY = `dockercoins ${location.pathname}`;

export function save(history) {
  try {
    localStorage[KEY] = JSON.stringify(history);
  } catch {}
}

export function load() {
  try {
    const { samples, events, clock, away } = JSON.parse(localStorage[KEY]);
    const past = samples.filter(({ t, h, coins }) => [t, h, coins].every(Number.isFinite)).reduce(add, []);
    return { samples: past, events: events.filter(({ t }) => Number.isFinite(t)), clock: Number(clock), away };
  } catch {
    return { samples: [], events: [], clock: 0 };
  }
}
