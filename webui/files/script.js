// Polls webui once a second.

import { draw } from "./graph.js";
import { add, load, save } from "./history.js";
import { newServer, read, showFigures, showState } from "./state.js";
import { view } from "./view.js";

const TIMEOUT = 2000; // milliseconds; webui gives redis 1500

// clock: seconds by which the server's clock is ahead. away: the unavailable service, if any.
let { samples, events, clock, away } = load();
let answer = { state: "live" };
let asking = false;

const now = () => Date.now() / 1000 + clock;

async function poll() {
  if (asking) return;
  asking = true;
  answer = await ask();
  asking = false;
  const { state, sample } = answer;
  const last = samples.at(-1);
  const reset = sample?.h < last?.h;
  const outage = away;
  away = sample ? undefined : state;
  const mark = (word) => word && events.push({ t: sample?.t ?? now(), word });
  if (sample) {
    clock += sample.t - now();
    mark(newServer(samples, sample.server));
    samples = add(samples, { ...sample, outage });
  }
  if (last) mark(reset ? "reset" : away !== outage && (away ?? "back"));
  render();
}

async function ask() {
  try {
    const response = await fetch("json", { signal: AbortSignal.timeout(TIMEOUT) });
    return read(response.status, await response.text(), response.headers.get("served-by"));
  } catch {
    return { state: "webui" };
  }
}

function render() {
  const last = samples.at(-1)?.t ?? 0;
  view.oldest = samples[0]?.t ?? 0;
  view.present = last && away ? now() : last; // during an outage time goes on
  events = events.filter(({ t }) => t >= view.oldest);
  showState(answer.state);
  showFigures(samples);
  draw(samples, events);
}

view.render = window.onresize = render;
document.onvisibilitychange = () => save({ samples, events, clock, away });
poll();
setInterval(poll, 1000);
