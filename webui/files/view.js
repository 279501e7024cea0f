// What is shown of the history: the choice of keys, wheel, mouse or finger.

export const SPAN = 250; // seconds from the left edge to the right one

export const find = (id) => document.getElementById(id);
export const clock = (t) => new Date(t * 1000).toTimeString().slice(0, 8);
const graph = find("graph");

// The right edge is null at the present; the readout is so many seconds before it.
export const view = { oldest: 0, present: 0, edge: null, ago: null };

export const paused = () => view.edge !== null;
export const end = () => view.edge ?? view.present;
// With the sample beyond the left edge.
export const inside = ({ t }) => t > end() - SPAN - 1.5 && t <= end();

function change(changes) {
  Object.assign(view, changes);
  dispatchEvent(new Event("change"));
}

const pause = () => change({ edge: paused() ? null : view.present });

function moveTo(time) {
  const edge = Math.max(time, view.oldest + SPAN); // there the graph is full
  change({ edge: edge < view.present ? edge : null });
}

const byKey = () => graph.matches(":focus-visible"); // to read out second by second
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
let drag = null; // where it began, and the right edge then

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
// Where a finger was, the readout stays until a blur.
graph.onpointerleave = ({ pointerType }) => pointerType === "mouse" && change({ ago: null });

// A wheel that has nothing to scroll here scrolls the page.
graph.onwheel = (event) => {
  const before = end();
  moveTo(before + seconds(event.deltaX + event.deltaY));
  if (end() !== before) event.preventDefault();
};
