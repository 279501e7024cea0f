// The graph: to the right, seconds from now; upwards, hashes/second.

import { ticks } from "./speed.js";

const SPAN = 250; // seconds from the left edge to now

const find = (id) => document.getElementById(id);
const graph = find("graph");
const inspect = find("inspect");

let shown = { inside: [], now: 0, top: 0 }; // inside: the samples between the edges
let picked = null; // the time that is inspected
let resting = null; // how many seconds ago the pointer rests

export function draw(samples, now) {
  const inside = samples.filter((sample) => sample.t > now - SPAN);
  const rates = ticks(Math.max(...inside.map((sample) => sample.instant), 0) || 4);
  const top = rates.at(-1);
  if (top !== shown.top) drawAxes(rates, top);
  shown = { inside, now, top };

  const corner = ([t, rate]) => `${(t - now).toFixed(2)} ${(top - rate).toFixed(3)}`;
  const line = (points) => `M${points.map(corner).join("L")}`;
  const area = (points) => line([[points[0][0], 0], ...points, [points.at(-1)[0], 0]]);
  trace("area", stretches(samples, "instant").map(area));
  const steady = stretches(samples, "trueSpeed").map(line);
  trace("edge", steady);
  trace("line", steady);
  if (resting !== null) picked = now - resting;
  drawCursor();
}

const trace = (id, paths) => find(id).setAttribute("d", paths.join(""));

// The points to join, stretch by stretch between the gaps.
function stretches(samples, which) {
  const all = [[]];
  samples.forEach((sample, i) => {
    if (sample.instant === null) return all.push([]);
    const from = samples[i - 1]?.t;
    // A mean over a long time is drawn level, not as a ramp.
    if (sample.t - from > 5) all.at(-1).push([from, sample[which]]);
    all.at(-1).push([sample.t, sample[which]]);
  });
  return all.filter((points) => points.length);
}

function drawAxes(rates, top) {
  const minutes = [4, 3, 2, 1, 0];
  find("plot").setAttribute("viewBox", `${-SPAN} 0 ${SPAN} ${top}`);
  trace("grid", [...rates.map((rate) => `M${-SPAN} ${top - rate}H0`), ...minutes.map((m) => `M${-60 * m} 0V${top}`)]);
  find("ticks").replaceChildren(
    ...rates.map((rate) => tick(rate, "bottom", rate / top)),
    ...minutes.map((m) => tick(m ? `−${m} min` : "now", "left", 1 - (60 * m) / SPAN)),
  );
}

function tick(text, side, share) {
  const span = document.createElement("span");
  span.className = side;
  span.textContent = text;
  span.style[side] = `${100 * share}%`;
  return span;
}

function drawCursor() {
  const { inside, now } = shown;
  inspect.max = inside.length - 1;
  find("cursor").hidden = picked === null || !inside.length;
  if (find("cursor").hidden) return;

  inspect.value = Math.max(inside.findLastIndex((sample) => sample.t <= picked), 0);
  const { t, instant, trueSpeed } = inside[inspect.value];
  const rates = instant === null ? "a gap" : `${instant.toFixed(1)} instant, ${trueSpeed.toFixed(1)} true`;
  const text = `${new Date(t * 1000).toTimeString().slice(0, 8)}: ${rates}`;
  const left = 100 + (100 * (t - now)) / SPAN;
  find("cursor").style.left = `${left}%`;
  find("readout").style.translate = `${-left}%`; // stays between the edges
  find("readout").textContent = text;
  inspect.setAttribute("aria-valuetext", text);
}

function pick(time, ago = null) {
  picked = time;
  resting = ago;
  drawCursor();
}

function point(event) {
  const ago = SPAN * (1 - event.offsetX / graph.clientWidth);
  pick(shown.now - ago, ago);
}

graph.addEventListener("pointerdown", point);
graph.addEventListener("pointermove", point);
graph.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && pick(null));

// The arrow keys move an unseen range over the samples.
inspect.addEventListener("focus", () => pick(shown.now));
inspect.addEventListener("input", () => pick(shown.inside[inspect.value].t));
inspect.addEventListener("blur", () => pick(null));
