import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const directory = new URL("../files/", import.meta.url);
const files = readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), "utf8")]);

test("the page is at most 21 KiB, before compression", () => {
  const size = files.reduce((total, [, text]) => total + Buffer.byteLength(text), 0);
  assert(size <= 21 * 1024, `${size} bytes`);
});

for (const [name, text] of files) {
  test(`${name} has at most 150 lines`, () => assert(text.trimEnd().split("\n").length <= 150));
}

// A lab edits it by a one-line sed.
test("the size of the numbers and the legend is in one place", () => {
  assert.equal(files.map(([, text]) => text).join("").split("15px").length - 1, 1);
});
