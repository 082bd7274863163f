// Walks through the console in Chromium as people would, and fails on what a person would call broken: an error in the browser's console, a report of
// the content security policy, a page that scrolls sideways, a violation that axe finds.
//
//   node walk.mjs PROGRAM MODULES SCREENSHOTS [WALK…]
//
// PROGRAM is the built keepwell, MODULES the folder with node_modules, SCREENSHOTS a folder for pictures of every page. It is run by
// `cargo xtask browser`, which sees to all three. Without a WALK it goes all of them.

import { demo } from "./demo.mjs";
import { empty } from "./empty.mjs";
import { openBrowser, verdict } from "./kit.mjs";
import { states } from "./states.mjs";

const WALKS = { empty, demo, states };

const chosen = process.argv.slice(5);
const browser = await openBrowser();
try {
  for (const [name, walk] of Object.entries(WALKS)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const since = Date.now();
    await walk(browser);
    console.log(`${name}: ${Math.round((Date.now() - since) / 1000)} s`);
  }
} finally {
  await browser.close();
}
process.exit(verdict() ? 0 : 1);
