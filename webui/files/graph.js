// The graph: 250 seconds, up to now or to the pause.

import { drawAxes, scale, span } from "./axes.js";
import { count, rate } from "./state.js";
import { SPAN, clock, end, find, inside, paused, view } from "./view.js";

const trace = (id, paths) => find(id).setAttribute("d", paths.join(""));

let values = []; // ticks of the y axis

document.body.style = `--size: ${document.body.dataset.size}`;

export function draw(samples, events) {
  const shown = samples.filter(inside);
  const before = values;
  values = scale(values, shown);
  if (values !== before) drawAxes(values);
  find("times").firstChild.textContent = paused() ? "" : "now";

  trace("area", stretches(shown, ({ instant }) => instant).map(area));
  trace("guess", stretches(shown, ({ trueSpeed }) => trueSpeed).map(line));
  const known = stretches(shown, ({ known, trueSpeed }) => (known ? trueSpeed : null)).map(line);
  trace("halo", known);
  trace("line", known);
  drawEvents(events.filter(inside));
  drawReadout(shown);
}

const corner = ([t, rate]) => `${(t - end()).toFixed(2)} ${(values.at(-1) - rate).toFixed(3)}`;
const line = (points) => `M${points.map(corner).join("L")}`;
const area = (points) => line([[points[0][0], 0], ...points, [points.at(-1)[0], 0]]);

// The polylines between the gaps.
function stretches(samples, rate) {
  const all = [[]];
  samples.forEach((sample, i) => {
    const y = rate(sample);
    if (y === null) return all.push([]);
    const from = samples[i - 1]?.t;
    // A long interval has one mean: a step, not a ramp.
    if (sample.t - from > 5) all.at(-1).push([from, y]);
    all.at(-1).push([sample.t, y]);
  });
  return all.filter((points) => points.length);
}

const share = (t) => 1 + (t - end()) / SPAN; // of the width

function drawEvents(events) {
  trace("marks", events.map(({ t }) => `M${corner([t, 0])}V0`));
  find("events").replaceChildren(...events.map(({ word }) => span(word)));
  const rows = []; // the right edge of the last word in each: none overlap
  events.forEach(({ t }, i) => {
    const word = find("events").children[i];
    const width = word.offsetWidth;
    const right = Math.max(share(t) * find("graph").clientWidth, width);
    let row = 0;
    while (rows[row] > right - width) row++;
    rows[row] = right;
    word.style.translate = `${right - width}px ${row * word.offsetHeight}px`;
  });
}

function drawReadout(samples) {
  const [graph, cursor, readout] = ["graph", "cursor", "readout"].map(find);
  cursor.hidden = view.ago === null || !samples.length;
  if (cursor.hidden) return;

  const { t, h, instant, trueSpeed } = samples.findLast(({ t }) => t < end() - view.ago + 0.5) ?? samples[0];
  const text = `${clock(t)}: ${rate(instant)} instant, ${rate(trueSpeed)} true, ${count(h)} hashes`;
  cursor.style.left = `${100 * share(t)}%`;
  readout.style.translate = `${-100 * share(t)}%`; // within the graph
  readout.textContent = text;
  // Announced by screen readers: not every second.
  graph.setAttribute("aria-valuetext", paused() ? text : "now");
}
