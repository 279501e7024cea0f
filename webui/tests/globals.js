// What the modules of the page need from a browser when they are loaded.

Object.assign(globalThis, {
  document: { getElementById: () => ({}) },
  localStorage: {},
  location: { pathname: "/index.html" },
  window: globalThis,
});
