// The visible part of the history: keyboard, wheel, mouse and touch.

export const SPAN = 250; // seconds from the left edge to the right one

export const find = (id) => document.getElementById(id);
export const clock = (t) => new Date(t * 1000).toTimeString().slice(0, 8);
const graph = find("graph");

// edge: time at the right edge, null for now; ago: seconds from it to the readout.
export const view = { oldest: 0, present: 0, edge: null, ago: null, render: null };

export const paused = () => view.edge !== null;
export const end = () => view.edge ?? view.present;
// With one sample beyond the left edge.
export const inside = ({ t }) => t > end() - SPAN - 1.5 && t <= end();

function change(changes) {
  Object.assign(view, changes);
  view.render();
}

const pause = () => change({ edge: paused() ? null : view.present });

function moveTo(time) {
  const edge = Math.max(time, view.oldest + SPAN); // keeps the graph full
  change({ edge: edge < view.present ? edge : null });
}

const byKey = () => graph.matches(":focus-visible"); // one second per press
const step = (direction) => moveTo(end() + direction * (byKey() ? 1 : 10));

const KEYS = {
  " ": pause,
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  End: () => moveTo(view.present),
};

window.onkeydown = (event) => {
  const { key, target, ctrlKey, altKey, metaKey } = event;
  if (!KEYS[key] || (key === " " && target.matches("button, input")) || ctrlKey || altKey || metaKey) return;
  event.preventDefault();
  KEYS[key]();
};
find("pause").onclick = pause;
graph.onfocus = () => byKey() && change({ ago: 0 });
graph.onblur = () => change({ ago: null });

const seconds = (pixels) => (pixels / graph.clientWidth) * SPAN;
let drag = null; // where it began, and the edge then

graph.onpointerdown = (event) => {
  drag = { x: event.clientX, edge: end() };
  graph.setPointerCapture(event.pointerId);
  graph.onpointermove(event);
};
graph.onpointermove = (event) => {
  if (drag) moveTo(drag.edge - seconds(event.clientX - drag.x));
  change({ ago: SPAN - seconds(event.offsetX) });
};
graph.onlostpointercapture = () => (drag = null);
// After a touch, it stays until the graph loses focus.
graph.onpointerleave = ({ pointerType }) => pointerType === "mouse" && change({ ago: null });

// At either end, the wheel scrolls the page.
graph.onwheel = (event) => {
  const before = end();
  moveTo(before + seconds(event.deltaX + event.deltaY));
  if (end() !== before) event.preventDefault();
};
