// A sample: at time t (seconds, by the server's clock) the counter stood at h hashes.

// The instant speed, from one sample to the next, in hashes/second: the blue area.
export const speed = ({ t: t1, h: h1 }, { t: t2, h: h2 }) => (h2 - h1) / (t2 - t1);

// The true speed, the line: the slope of the counter. Workers count in lumps, which matter the less
// the longer the look back, but it must not reach to before a change.
const LOOK_BACKS = [4, 8, 10]; // seconds, while it changes
const ENOUGH = 11.5; // for a few per cent
const LONGEST = 60;

// Of the newest sample of a run; since when it is steady, and whether it is known.
export function trueSpeed(run) {
  const { t } = run.at(-1);
  if (t - run[0].t < ENOUGH) return { trueSpeed: null, since: run[0].t, known: false };

  // The median: one that is too short does not count, nor one that is too long.
  const quick = LOOK_BACKS.map((seconds) => slope(lastSeconds(run, seconds))).sort((a, b) => a - b)[1];
  const { since } = run.at(-2);
  const known = t - since >= ENOUGH;
  const steady = known ? slope(lastSeconds(run, Math.min(t - since, LONGEST))) : quick;
  const lump = Math.max(...lastSeconds(run, 8).map(({ instant }) => instant));
  if (Math.abs(quick - steady) > lump / 8) return { trueSpeed: quick, since: t, known: false };
  return { trueSpeed: steady, since, known };
}

// From the earlier half to the later one: means level the lumps.
export function slope(samples) {
  const half = Math.floor(samples.length / 2);
  return half ? speed(mean(samples.slice(0, half)), mean(samples.slice(-half))) : null;
}

function mean(samples) {
  const sum = (key) => samples.reduce((total, sample) => total + sample[key], 0);
  return { t: sum("t") / samples.length, h: sum("h") / samples.length };
}

// Back to the first sample that is old enough; a poll may come early or late.
export function lastSeconds(samples, seconds) {
  const limit = samples.at(-1).t - seconds + 0.5;
  return samples.slice(Math.max(samples.findLastIndex(({ t }) => t <= limit), 0));
}

// Since the counter last restarted.
export function average(samples) {
  const first = samples.findLastIndex((sample, i) => i === 0 || sample.h < samples[i - 1].h);
  return first < samples.length - 1 ? speed(samples[first], samples.at(-1)) : null;
}
