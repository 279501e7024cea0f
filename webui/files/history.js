// The samples of the last hour, and what happened in it. They survive a reload.

import { speed, trueSpeed } from "./speed.js";

const HOUR = 3600;
// A background tab polls once a minute, which still gives a true mean.
const LONGEST_MEAN = 90;

// A run has no outage, no restart of the counter, and no clock that is set back.
const follows = (a, b) => b.h >= a.h && b.t > a.t && b.t - a.t < LONGEST_MEAN && !b.outage;

// The samples with one more and its speeds; instant is null where a run begins.
export function add(samples, { t, h, coins, outage }) {
  const past = samples.filter((sample) => sample.t < t && sample.t > t - HOUR);
  const sample = { t, h, coins, outage, instant: null };
  if (samples.length && follows(samples.at(-1), sample)) sample.instant = speed(past.at(-1), sample);
  const recent = [...past.slice(-100), sample];
  const run = recent.slice(Math.max(recent.findLastIndex(({ instant }) => instant === null), 0));
  return [...past, Object.assign(sample, trueSpeed(run))];
}

// Each path that webui is reached by has its own history.
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
