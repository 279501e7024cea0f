// The state and the figures.

import { MIN_WINDOW, average } from "./speed.js";
import { SPAN, clock, end, find, inside, paused } from "./view.js";

const MESSAGES = { live: "Live", waiting: "Waiting for the first units of work" };

// Parses a response: the state, and a sample if there is one.
export function read(status, text, server) {
  try {
    const { coins, hashes, now, error } = JSON.parse(text);
    if (status === 503 && error) return { state: "redis" };
    const valid = status === 200 && Number.isFinite(now) && Number.isInteger(coins);
    const sample = { t: now, h: Number(hashes), coins, server };
    if (valid && hashes === null) return { state: "waiting", sample };
    if (valid && /^\d{1,15}$/.test(hashes)) return { state: "live", sample };
  } catch {} // not JSON: it is not webui
  return { state: "webui" };
}

// The marker of a server that is new in the graph: its version if that changes, or its host.
export function newServer(samples, server) {
  const last = samples.at(-1)?.server;
  if (!last || !server || samples.slice(-SPAN).some((sample) => sample.server === server)) return;
  const [version, host] = server.split(" on ");
  return `${last}`.startsWith(`${version} on`) ? host : version.replace("webui ", "v");
}

export function showState(state) {
  const message = MESSAGES[state] ?? `${state} is unavailable: last known figures`;
  write("state", paused() ? `Paused at ${clock(end())}` : message);
  write("pause", paused() ? "Resume" : "Pause");
  document.body.dataset.state = paused() ? "paused" : state;
}

let announced = 0; // the last announced speed

export function showFigures(samples) {
  const last = samples.findLast(({ t }) => t <= end());
  if (!last) return;
  const { t, h, coins, server, instant, trueSpeed, since, known } = last;
  const measuring = trueSpeed === null ? "measuring" : "";
  find("speed").className = measuring;
  find("progress").value = (t - since) / MIN_WINDOW;
  write("true", measuring || rate(trueSpeed));
  write("instant", rate(instant));
  write("average", rate(average(samples.filter(inside))));
  write("hashes", count(h));
  write("coins", count(coins));
  write("server", server ?? "");
  if (!known || paused() || Math.abs(trueSpeed - announced) <= announced / 10) return;
  announced = trueSpeed;
  write("announcement", `${rate(trueSpeed)} hashes/second`);
}

export const count = new Intl.NumberFormat("en").format;

export function rate(rate) {
  if (rate === null) return "–";
  return rate < 100 ? rate.toFixed(1) : count(Math.round(rate));
}

// Only changes, since screen readers announce them. Longer texts get a smaller font.
function write(id, text) {
  if (find(id).textContent === text) return;
  find(id).textContent = text;
  find(id).style.setProperty("--length", text.length);
}

// Over plain http there is no clipboard API.
find("share").textContent = find("share").href;
find("share").onclick = (event) => {
  getSelection().selectAllChildren(find("result"));
  if (document.execCommand("copy")) event.preventDefault();
};
