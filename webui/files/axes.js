// The axes: time, and hashes/second.

import { SPAN, find } from "./view.js";

const MINUTES = [0, 1, 2, 3, 4];

// The ticks of the y axis. The third-highest rate counts: no single sample rescales it.
export function scale(values, samples) {
  const rates = samples.map(({ instant }) => instant).sort((a, b) => b - a);
  const highest = Math.max(rates[2] ?? 0, ...samples.map(({ trueSpeed }) => trueSpeed));
  const [top, needed] = [values.at(-1) ?? -1, ticks(highest || 4)];
  return highest > top || needed.at(-1) <= (top * 2) / 3 ? needed : values;
}

// Round ticks, to 10 % above the highest rate or more: steps of 1, 2, 5, 10, 20, …
export function ticks(highest) {
  const top = highest * 1.1;
  const power = 10 ** Math.floor(Math.log10(top / 5));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= top / 5);
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

export function drawAxes(values) {
  const top = values.at(-1);
  find("plot").setAttribute("viewBox", `-${SPAN} 0 ${SPAN} ${top}`);
  const lines = [...values.map((rate) => `M-${SPAN} ${top - rate}H0`), ...MINUTES.map((m) => `M${-60 * m} 0V${top}`)];
  find("grid").setAttribute("d", lines.join(""));
  // New elements are animated, so a change of scale is noticed.
  find("rates").replaceChildren(...values.map((rate) => tick(rate, "bottom", rate / top)));
  find("times").replaceChildren(...MINUTES.map((m) => tick(`−${m} min`, "right", (60 * m) / SPAN)));
}

function tick(text, side, share) {
  const tick = span(text);
  tick.style[side] = `${100 * share}%`;
  return tick;
}

export const span = (textContent) => Object.assign(document.createElement("span"), { textContent });
