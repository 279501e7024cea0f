// Samples as the page records them.

import "./globals.js";
import { add } from "../files/history.js";

// One sample at each of these times, of a counter that is a function of time.
export const poll = (counter, times) => times.map((t) => ({ t, h: counter(t), coins: 0 })).reduce(add, []);
export const upTo = (seconds) => Array.from({ length: seconds + 1 }, (_, t) => t);
export const last = (samples) => samples.at(-1);
export const rates = ({ instant, trueSpeed }) => [instant, trueSpeed];

export const worker = (t) => 4 * Math.floor(t / 1.2);
export const steady = (t) => 4 * t;
