// A sample: at time t (seconds, by the server's clock) the counter stood at h hashes.

// The instant speed, from one sample to the next, in hashes/second: the blue area.
export const speed = ({ t: t1, h: h1 }, { t: t2, h: h2 }) => (h2 - h1) / (t2 - t1);

// The true speed, the line. A look back over twice the time is four times as steady, and the one to believe,
// unless it disagrees with the shorter one: then the speed has changed.
export function trueSpeed(samples) {
  const [rough, steady, steadiest] = [6, 12, 24].map((seconds) => slope(lastSeconds(samples, seconds)));
  if (Math.abs(rough - steady) > steady / 4) return rough;
  if (Math.abs(steady - steadiest) > steadiest / 16) return steady;
  return steadiest;
}

// From the middle of the earlier half to that of the later one: means level the steps in which workers count.
export function slope(samples) {
  const half = Math.floor(samples.length / 2);
  return half ? speed(mean(samples.slice(0, half)), mean(samples.slice(-half))) : null;
}

function mean(samples) {
  const sum = (key) => samples.reduce((total, sample) => total + sample[key], 0);
  return { t: sum("t") / samples.length, h: sum("h") / samples.length };
}

export function average(samples) {
  const run = lastSeconds(samples, 250);
  return run.length > 1 ? speed(run[0], run.at(-1)) : null;
}

// Back to the first sample that is old enough, but not to before the counter began again.
export function lastSeconds(samples, seconds) {
  const run = samples.slice(samples.findLastIndex((sample, i) => i === 0 || !follows(samples[i - 1], sample)));
  const limit = run.at(-1).t - seconds + 1.5; // a poll may come early or late
  return run.filter((_, i) => !(run[i + 1]?.t <= limit));
}

// A background tab polls once a minute, which still gives a true mean. Over longer, nobody looked: a gap.
const LONGEST_MEAN = 90;
const follows = (a, b) => b.h >= a.h && b.t - a.t < LONGEST_MEAN;

const SPEEDS = 250; // between 251 samples

// The samples with one more, and its speeds; instant is null in a gap of the graph.
export function add(samples, sample) {
  const past = endingBefore(sample.t, samples.slice(-SPEEDS));
  const last = past.at(-1);
  const known = last && !sample.gap && follows(last, sample);
  const next = { ...sample, instant: known ? speed(last, sample) : null };
  next.trueSpeed = trueSpeed([...past, next]);
  return [...past, next];
}

// If the server's clock was set back, so is the past, to end a second ago.
function endingBefore(t, samples) {
  const ahead = samples.at(-1)?.t - t;
  return ahead >= 0 ? samples.map((sample) => ({ ...sample, t: sample.t - ahead - 1 })) : samples;
}

// What webui's answer means: a state and, if all is well, a sample.
export function read(status, text) {
  try {
    const { coins, hashes, now, error } = JSON.parse(text);
    if (status === 503 && error) return { state: "redis" };
    const valid = status === 200 && Number.isFinite(now) && Number.isInteger(coins);
    if (valid && hashes === null) return { state: "waiting" };
    if (valid && /^\d{1,15}$/.test(hashes)) return { state: "live", sample: { t: now, h: Number(hashes), coins } };
  } catch {} // not JSON: it is not webui
  return { state: "webui" };
}

// Round values for an axis, to a little above the highest: steps of 1, 2, 5, 10, 20, …
export function ticks(highest) {
  const top = highest * 1.1;
  const power = 10 ** Math.floor(Math.log10(top / 5));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= top / 5);
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}
