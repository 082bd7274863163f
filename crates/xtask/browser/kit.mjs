// What the walks have in common: programs that run beside them, pages that complain of everything that a person would call broken, looks at a page in
// every width and theme, and the emulated Microsoft past the console.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const [program, modules, screenshots] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// What a page needs, on a machine that has other things to do, too.
const WAIT_MS = 30_000;
// What a run needs.
export const RUN_MS = 300_000;
// In these a page is judged by axe and a picture is made of it.
const LOOKS = [
  { name: "1280-light", width: 1280, height: 900, colorScheme: "light" },
  { name: "1280-dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "390-light", width: 390, height: 844, colorScheme: "light" },
  { name: "390-dark", width: 390, height: 844, colorScheme: "dark" },
];
// Besides these, a page must fit these widths.
const WIDTHS = [320, 1920];
const USUAL = { viewport: { width: 1280, height: 900 }, colorScheme: "light", bypassCSP: false };

let passed = 0;
const failures = [];

export function check(what, isGood, detail = "") {
  if (isGood) passed += 1;
  else {
    failures.push(what);
    console.log(`FAILED ${what}${detail && `: ${detail}`}`);
  }
}

// What all checks came to: whether all are good.
export function verdict() {
  console.log(`${passed} passed, ${failures.length} failed`);
  return failures.length === 0;
}

// Starts the program, and waits for as many lines of its output as say that it is ready.
export async function start(args, lines = 1) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const heard = [];
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => heard.push(line) === lines && resolve());
  });
  await Promise.race([ready, ended]);
  if (heard.length < lines) throw new Error(`keepwell ${args[0]} ended before it was ready: ${said}`);
  const stop = async () => {
    child.kill("SIGTERM");
    check(`keepwell ${args[0]} ends in order`, (await ended) === 0, said);
  };
  return { lines: heard, said: () => said, stop };
}

// What an administrator starts in an empty folder: a key, and `keepwell serve` over the emulated Microsoft at `http`. `apps` is the end of the
// configuration Gives where the data and the console are, and the set-up code.
export async function serve(http, apps = "") {
  const folder = mkdtempSync(join(tmpdir(), "keepwell-walk-"));
  const paths = { data: join(folder, "data"), database: join(folder, "keepwell.db"), key_file: join(folder, "server.key") };
  execFileSync(program, ["key", "create", paths.key_file], { stdio: "ignore" });
  const listen = `127.0.0.1:${await freePort()}`;
  const settings = Object.entries(paths).map(([name, path]) => `${name} = ${JSON.stringify(path)}\n`);
  const config = join(folder, "keepwell.toml");
  writeFileSync(config, `${settings.join("")}cloud = { emulator = "${http}" }\n[http]\nlisten = "${listen}"\n${apps}`);
  const { lines, said, stop } = await start(["serve", "--config", config], 2);
  const origin = `http://${listen}`;
  check("serve says where the console is", lines[0] === `the console is at ${origin}/`, lines[0]);
  const end = async () => {
    await stop();
    rmSync(folder, { recursive: true });
  };
  return { data: paths.data, origin, code: lines[1].replace("set-up code: ", ""), said, end };
}

// A port that nobody listens on.
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function openBrowser() {
  mkdirSync(screenshots, { recursive: true });
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

// Walks with people of their own, each in a browser of their own at `ours`, these origins. Whatever a browser complains of is a failure.
export async function withPeople(browser, name, ours, said, walk) {
  const heard = [];
  const pages = [];
  const person = async (options = {}) => {
    const context = await browser.newContext({ ...USUAL, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    hear(page, ours, heard);
    pages.push(page);
    return page;
  };
  const expected = (text) => {
    const at = heard.findIndex((complaint) => complaint.includes(text));
    check(`the browser says “${text}”`, at >= 0, heard.join("\n"));
    if (at >= 0) heard.splice(at, 1);
  };
  try {
    await walk(person, expected);
  } catch (error) {
    check(`the walk ${name} comes to its end`, false, `${error.stack}\n${said()}`);
    for (const [number, page] of pages.entries()) {
      await page.screenshot({ path: `${screenshots}/failed-${name}-${number}.png`, fullPage: true });
      console.log(page.url(), (await page.locator("body").innerText()).slice(0, 3000));
    }
  }
  check(`the browser's console is silent (${name})`, heard.length === 0, heard.join("\n"));
  for (const page of pages) await page.context().close();
}

// Notes what a browser complains of, and what it asks that is not ours.
function hear(page, ours, heard) {
  page.on("console", (message) => message.type() === "error" && heard.push(`${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => heard.push(String(error)));
  page.on("dialog", (dialog) => {
    heard.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && !ours.includes(url.origin)) heard.push(`a request to ${url.origin}`);
  });
}

// Follows a link or sends a form, and waits until the page that comes is whole.
export async function follow(page, locator) {
  await Promise.all([page.waitForEvent("load"), locator.click()]);
}

export async function submitByEnter(page) {
  await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
}

// Follows an entry of the navigation.
export async function visit(page, name) {
  await follow(page, page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).first());
}

// Reloads until it is so.
export async function reloadUntil(page, what, isSo) {
  for (const since = Date.now(); !(await isSo()); await page.reload()) {
    if (Date.now() - since > RUN_MS) throw new Error(`in vain: ${what}`);
  }
}

// Waits until the run whose page is open is over, which the page tells by itself, and gives its result.
export async function result(page) {
  await page.locator(".title .rs:not(.progress, .scheduled)").waitFor({ timeout: RUN_MS });
  return page.locator(".title .rs").innerText();
}

// Looks at the page that is open: accessibility, width, and a picture, in every look. Where the page may run no script, neither may axe.
export async function look(page, name, { hasScript = true } = {}) {
  const fits = async (kind) => {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(`${name} at ${kind} does not scroll sideways`, overflow <= 0, `${overflow} px`);
  };
  for (const { name: kind, width, height, colorScheme } of LOOKS) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await fits(kind);
    await page.screenshot({ path: `${screenshots}/${name}-${kind}.png` });
    const violations = hasScript ? await violationsOf(page) : [];
    check(`${name} at ${kind} is accessible`, violations.length === 0, violations.join("\n"));
  }
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    await fits(width);
  }
  await page.setViewportSize(USUAL.viewport);
  await page.emulateMedia({ colorScheme: USUAL.colorScheme });
}

// axe runs in a world of its own, which the page's policy does not concern.
async function violationsOf(page) {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send("Page.getFrameTree");
    const world = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    const run = (expression) =>
      session.send("Runtime.evaluate", { expression, contextId: world.executionContextId, awaitPromise: true, returnByValue: true });
    await run(axe);
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const options = JSON.stringify({ runOnly: tags, iframes: false, resultTypes: ["violations"], preload: false });
    const { result, exceptionDetails } = await run(`axe.run(document, ${options}).then((all) => all.violations.map((one) =>
      one.id + ": " + one.nodes.map((node) => node.target.join(" ") + " " + (node.any[0]?.message ?? "")).slice(0, 3).join("; ")))`);
    return exceptionDetails ? [exceptionDetails.exception?.description ?? exceptionDetails.text] : result.value;
  } finally {
    await session.detach();
  }
}

// The emulated Microsoft, asked past the console with an app's token: what it answers as JSON, or as bytes.
export async function microsoft({ http, tenant_id, client_id, client_secret }) {
  const body = new URLSearchParams({ grant_type: "client_credentials", client_id, client_secret, scope: "https://graph.microsoft.com/.default" });
  const answer = await fetch(`${http}/${tenant_id}/oauth2/v2.0/token`, { method: "POST", body });
  const { access_token } = await answer.json();
  return async (path, { headers, json, ...options } = {}) => {
    const sent = json === undefined ? options : { method: "POST", ...options, body: JSON.stringify(json) };
    const type = json === undefined ? {} : { "content-type": "application/json" };
    const answer = await fetch(`${http}/v1.0${path}`, { ...sent, headers: { ...type, ...headers, authorization: `Bearer ${access_token}` } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    const isJson = (answer.headers.get("content-type") ?? "").includes("json");
    return isJson ? answer.json() : Buffer.from(await answer.arrayBuffer());
  };
}

// Signs in and consents at the emulated Microsoft as somebody, however often it asks, until the console is back. Whoever may not consent goes back, and
// so does whoever decides to "cancel" what the organization is asked for.
export async function throughMicrosoft(page, console, { name, password }, decision = "accept") {
  const login = page.locator("input[name=login]");
  const choice = (field, value) => page.locator(`button[name=${field}][value=${value}]`);
  const [session, other] = [choice("account", "session"), choice("account", "other")];
  const [accept, cancel] = [choice("decision", "accept"), choice("decision", "cancel")];
  await page.waitForURL((url) => url.origin !== console);
  for (let asked = 0; asked < 10; asked += 1) {
    await login.or(accept).or(session).or(cancel).or(page.locator("#main")).first().waitFor();
    if (new URL(page.url()).origin === console) return;
    if (await login.count()) {
      await login.fill(name);
      await page.locator("input[name=passwd]").fill(password);
      await follow(page, page.locator("button[type=submit]"));
    } else if (await session.count()) {
      await follow(page, (await session.innerText()).includes(name) ? session : other);
    } else {
      const isForAll = (await page.title()).includes("for your organization");
      await follow(page, (await accept.count()) && !(isForAll && decision === "cancel") ? accept : cancel);
    }
  }
  throw new Error("Microsoft asks again and again");
}

// The first visitor, who has the set-up code, makes the organization.
export async function signUp(page, code, { name, address, password }) {
  await page.getByLabel("Set-up code").fill(code);
  await page.getByLabel("Organization").fill("Contoso");
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Address").fill(address);
  await page.getByLabel("Password").fill(password);
  await follow(page, page.getByRole("button", { name: "Create organization" }));
}

export async function signIn(page, { address, password }) {
  await page.getByLabel("Address").fill(address);
  await page.getByLabel("Password").fill(password);
  await follow(page, page.getByRole("button", { name: "Sign in" }));
  await page.getByRole("heading", { level: 1, name: "Homepage" }).waitFor();
}

export async function signOut(page) {
  await page.locator("summary.avatar").click();
  await follow(page, page.getByRole("button", { name: "Sign out" }));
  await page.getByLabel("Password").waitFor();
}

// Does something to the accounts that are selected, by the menu.
export async function act(page, name) {
  await page.locator("summary", { hasText: "Action" }).click();
  await follow(page, page.locator("details.menu[open] button", { hasText: name }));
}

export const exactly = (text) => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);

// The rows of the table of accounts.
export const accountRows = (page) => page.locator("section[aria-labelledby=accounts] tbody tr");
