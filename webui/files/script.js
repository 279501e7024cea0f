// Asks webui once a second how far the counter is. The speed is computed in speed.js.

import { add, average, read } from "./speed.js";
import { draw } from "./graph.js";

const PATIENCE = 2000; // milliseconds; webui gives redis 1500 and then tells us

const MESSAGES = {
  live: "Live",
  back: "Back again",
  waiting: "Waiting for the first units of work",
  redis: "redis is away: last known figures",
  webui: "webui is away: last known figures",
};

const find = (id) => document.getElementById(id);

let samples = load();
let arrived = performance.now(); // when the last sample came
let asking = false;
let missed = false; // the last poll brought no sample
let backUntil = 0;

async function poll() {
  if (asking) return;
  asking = true;
  const { state, sample } = await ask();
  asking = false;
  if (sample) {
    samples = add(samples, { ...sample, gap: missed });
    arrived = performance.now();
  }
  missed = !sample;
  show(state);
}

async function ask() {
  try {
    const response = await fetch("json", { signal: AbortSignal.timeout(PATIENCE) });
    return read(response.status, await response.text());
  } catch {
    return { state: "webui" };
  }
}

function show(state) {
  showState(state);
  const last = samples.at(-1);
  if (last) showFigures(last);
  // Without an answer time goes on: the gap can be seen.
  const since = missed ? performance.now() - arrived : 0;
  draw(samples, (last?.t ?? 0) + since / 1000);
}

function showFigures({ h, coins, instant, trueSpeed }) {
  const rates = { true: trueSpeed, instant, average: average(samples) };
  for (const id in rates) find(id).textContent = rates[id]?.toFixed(1) ?? "–";
  find("hashes").textContent = h.toLocaleString("en");
  find("coins").textContent = coins.toLocaleString("en");
}

function showState(state) {
  const time = performance.now();
  if (["redis", "webui"].includes(state)) backUntil = time + 6000;
  else if (state === "live" && time < backUntil) state = "back";
  document.body.dataset.state = state;
  // A screen reader speaks what is written here: write changes only.
  if (find("state").textContent !== MESSAGES[state]) find("state").textContent = MESSAGES[state];
}

// The history survives a reload.
function load() {
  try {
    const stored = JSON.parse(localStorage.dockercoins ?? "[]");
    return stored.filter(({ t, h, coins }) => [t, h, coins].every(Number.isFinite)).reduce(add, []);
  } catch {
    return [];
  }
}

function save() {
  try {
    localStorage.dockercoins = JSON.stringify(samples);
  } catch {}
}

// Over plain http there is no share dialogue and no clipboard API. What is copied shows as selected.
function share(event) {
  getSelection().selectAllChildren(find("result"));
  if (document.execCommand("copy")) event.preventDefault();
}

find("share").textContent = find("share").href;
find("share").addEventListener("click", share);
addEventListener("visibilitychange", save);

poll();
setInterval(poll, 1000);
