// A sample: at time t (seconds, by the server's clock) the counter stood at h hashes.

// The instant speed, from one sample to the next, in hashes/second: the blue area.
export const speed = ({ t: t1, h: h1 }, { t: t2, h: h2 }) => (h2 - h1) / (t2 - t1);

// The true speed, the line: the slope of the counter over a window. A long window smooths the batches
// in which workers count, but must not reach back beyond a change of speed.
const WINDOWS = [4, 8, 10]; // seconds, after a change
export const MIN_WINDOW = 11.5; // accurate to a few per cent
const MAX_WINDOW = 60;

// Of the last sample of a run; since when it is steady, and whether it is known.
export function trueSpeed(run) {
  const { t } = run.at(-1);
  if (t - run[0].t < MIN_WINDOW) return { trueSpeed: null, since: run[0].t, known: false };

  // The median of the windows: the shortest is noisy, the longest slow.
  const quick = WINDOWS.map((seconds) => slope(lastSeconds(run, seconds))).sort((a, b) => a - b)[1];
  const { since } = run.at(-2);
  const known = t - since >= MIN_WINDOW;
  const steady = known ? slope(lastSeconds(run, Math.min(t - since, MAX_WINDOW))) : quick;
  const batch = Math.max(...lastSeconds(run, 8).map(({ instant }) => instant));
  if (Math.abs(quick - steady) > batch / 8) return { trueSpeed: quick, since: t, known: false };
  return { trueSpeed: steady, since, known };
}

// Between the means of both halves, which smooths the batches.
export function slope(samples) {
  const half = Math.floor(samples.length / 2);
  return half ? speed(mean(samples.slice(0, half)), mean(samples.slice(-half))) : null;
}

function mean(samples) {
  const sum = (key) => samples.reduce((total, sample) => total + sample[key], 0);
  return { t: sum("t") / samples.length, h: sum("h") / samples.length };
}

// Polls jitter by up to half a second.
export function lastSeconds(samples, seconds) {
  const limit = samples.at(-1).t - seconds + 0.5;
  return samples.slice(Math.max(samples.findLastIndex(({ t }) => t <= limit), 0));
}

// Since the last reset of the counter.
export function average(samples) {
  const first = samples.findLastIndex((sample, i) => i === 0 || sample.h < samples[i - 1].h);
  return first < samples.length - 1 ? speed(samples[first], samples.at(-1)) : null;
}
