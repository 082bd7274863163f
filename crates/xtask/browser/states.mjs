// The states that a good day does not show: hostile names in the directory, more accounts than a page has, runs that fail in part or altogether,
// a pause that Microsoft asks for, a lost connection, a repository that is away or damaged, roles that may not, and tries that are too many.
// Then the same way as ever by the keyboard alone, and without script.

import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { accountRows, act, check, follow, look, microsoft, reloadUntil, result, serve, signIn, signOut, signUp, start, submitByEnter, throughMicrosoft, visit, withPeople } from "./kit.mjs";

// Two pages of accounts, of whom some have no licence.
const PEOPLE = 70;
const ROBIN = { name: "Robin Meyer", address: "robin@contoso.example", password: "correct horse battery" };
const AUDITOR = { name: "Kim Novak", address: "kim@contoso.example", password: "a long enough password" };
// What people may call themselves at Microsoft (abuse 100).
const NAMES = [`"><script>alert('name')</script>`, `<img src=x onerror=alert('name')>`, `' onmouseover='alert(1)`, `\u202eGnorw yaw\u202c`, "W".repeat(200), `=1+1`];

export async function states(browser) {
  const tenant = await start(["emulator", "--users", String(PEOPLE), "--admin", "--permission", "Application.ReadWrite.All"]);
  const emulator = JSON.parse(tenant.lines[0]);
  const { data, origin, code, said, end } = await serve(emulator.http);
  await withPeople(browser, "states", [origin, emulator.http], said, async (person, expected) => {
    const graph = await microsoft(emulator);
    const page = await person();
    const stage = { page, person, expected, origin, emulator, graph, data, breaks: (rule) => breaks(emulator, rule), heals: () => heals(emulator) };
    await page.goto(`${origin}/sign-up`);
    await signUp(page, code, ROBIN);
    await connect(stage);
    const accounts = await manyAccounts(stage);
    await badRuns(stage, accounts);
    await disconnected(stage);
    await lostRepository(stage, accounts.good);
    await tokens(stage);
    await whoMayNot(stage);
    await byKeyboard(stage, accounts.good);
    await withoutScript(stage, accounts.good);
  });
  await end();
  await tenant.stop();
}

// The emulated Microsoft misbehaves by this rule until it heals.
async function breaks({ http }, rule) {
  const answer = await fetch(`${http}/_emulator/faults`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(rule) });
  if (!answer.ok) throw new Error(`a fault rule: ${await answer.text()}`);
}

async function heals({ http }) {
  await fetch(`${http}/_emulator/faults`, { method: "DELETE" });
}

// A connection of which the app lacks a permission at first, and a task.
async function connect({ page, origin, emulator, graph, breaks }) {
  const id = "00000003-0000-0000-c000-000000000000";
  await visit(page, "Homepage");
  await follow(page, page.getByRole("link", { name: "New backup task" }).first());
  await page.getByLabel("Name").fill("Everybody");
  await follow(page, page.getByRole("button", { name: "Next" }));
  const redirect = await page.locator("#redirect-uri").innerText();
  const names = await page.locator("dl.permissions dt").allInnerTexts();
  const { value: [resource] } = await graph(`/servicePrincipals?$filter=appId eq '${id}'`);
  const needs = (names) => [{ resourceAppId: id, resourceAccess: resource.appRoles.filter(({ value }) => names.includes(value)).map(({ id }) => ({ id, type: "Role" })) }];
  const app = await graph("/applications", { json: { displayName: "Keepwell", web: { redirectUris: [redirect] }, requiredResourceAccess: needs(names.slice(1)) } });
  const { secretText } = await graph(`/applications/${app.id}/addPassword`, { json: { passwordCredential: {} } });
  await page.getByLabel("Tenant").fill(emulator.tenant_id);
  await page.getByLabel("Application (client) ID").fill(app.appId);
  await page.locator("input[name=proof][value=secret]").check();
  await page.getByLabel("Client secret", { exact: true }).fill(secretText);
  const authenticate = async () => {
    await page.getByRole("button", { name: "Authenticate with Microsoft" }).click();
    await throughMicrosoft(page, origin, { name: emulator.administrator.user_principal_name, password: emulator.administrator.password });
  };
  await authenticate();
  await page.getByText(`${names[0]} waiting`).waitFor();
  await look(page, "wizard-checking");

  // The app asks for everything after all, and the way is gone once more.
  await graph(`/applications/${app.id}`, { method: "PATCH", json: { requiredResourceAccess: needs(names) } });
  const steps = page.url().replace("checking", "authenticate");
  await page.goto(steps);
  check("what was typed is still there", (await page.getByLabel("Application (client) ID").inputValue()) === app.appId);
  await authenticate();
  await page.getByRole("button", { name: "Create backup task" }).waitFor();

  // What people are called, as Microsoft tells it.
  const { value: users } = await graph(`/users?$select=id,displayName,userPrincipalName,userType,assignedLicenses&$top=999`);
  await breaks({ route: "/users", set: { value: users.map((user, at) => ({ ...user, displayName: NAMES[at] ?? user.displayName })) } });
  await page.getByLabel("Schedule").selectOption("manual");
  await follow(page, page.getByRole("button", { name: "Create backup task" }));
  await reloadUntil(page, "accounts", async () => (await accountRows(page).count()) > 0);
}

const task = (page) => follow(page, page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Everybody" }));
const chip = async (page, name) => Number((await page.locator(".chips a", { hasText: new RegExp(`^${name} `) }).innerText()).replace(/\D/g, ""));
const find = async (page, text) => {
  await page.getByLabel("Find an account").fill(text);
  await submitByEnter(page);
};

// More than a page of them: what is done to all is done to all, and what is done to all that match to no other.
async function manyAccounts({ page }) {
  const all = await chip(page, "All");
  check("there is more than a page of accounts", all > 50 && (await accountRows(page).count()) === 50, `${all} accounts`);
  const names = await accountRows(page).locator("th a").allTextContents();
  await look(page, "task-hostile-names");
  await follow(page, page.getByRole("link", { name: "Next" }));
  check("the next page has the rest", (await accountRows(page).count()) === all - 50);
  names.push(...(await accountRows(page).locator("th a").allTextContents()));
  check("no account is on both", new Set(names).size === all, `${new Set(names).size} of ${all}`);
  for (const name of NAMES) check(`the name ${name.slice(0, 20)} is text`, names.includes(name), names.slice(0, 9).join("\n"));
  await follow(page, page.getByRole("link", { name: "First page" }));

  await page.getByLabel(/^Select the/).check();
  check("a page is selected", (await page.locator("[data-selected]").innerText()) === "50 selected");
  await page.getByRole("button", { name: `Select all ${all}` }).click();
  check("all are selected", (await page.locator("[data-selected]").innerText()) === `${all} selected`);
  await look(page, "task-select-all");
  await act(page, "Activate");
  await page.getByText(`${all} accounts activated.`).waitFor();
  check("all are active", (await chip(page, "Active")) === all);

  await find(page, "a");
  const some = Number(/of (\d+)/.exec(await page.locator("section[aria-labelledby=accounts] > footer").innerText())[1]);
  check("the search leaves more than a page and not all", some > 50 && some < all, `${some} of ${all}`);
  await page.getByLabel(/^Select the/).check();
  await page.getByRole("button", { name: `Select all ${some}` }).click();
  await act(page, "Pause");
  await page.getByText(`${some} accounts paused.`).waitFor();
  check("no other is paused", (await chip(page, "Paused")) === some && (await chip(page, "Active")) === all - some);
  await task(page);
  await follow(page, page.locator(".chips a", { hasText: /^Active / }));
  const rows = accountRows(page);
  const account = async (at) => ({
    name: await rows.nth(at).locator("th a").innerText(),
    href: await rows.nth(at).locator("th a").getAttribute("href"),
    address: await rows.nth(at).locator("th .id > span:not(.st)").first().innerText(),
  });
  return { good: await account(0), partial: await account(1), failed: await account(2) };
}

// One run in which one account is copied, one in part and one not at all.
async function badRuns({ page, graph, breaks, heals }, { good, partial, failed }) {
  await heals();
  const id = async ({ address }) => (await graph(`/users/${address}`)).id;
  const [partialId, failedId] = [await id(partial), await id(failed)];
  await breaks({ route: `/v1.0/users/${partialId}/messages/*/$value`, after: 2, count: 3, status: 400, code: "ErrorInvalidRequest" });
  await breaks({ route: `/v1.0/users/${partialId}/messages/*/$value`, after: 6, count: 1, status: 400, code: "ErrorCorruptData" });
  await breaks({ route: `/v1.0/users/${failedId}/*`, status: 403, code: "ErrorAccessDenied" });
  // Microsoft asks for a pause, which the page tells while it lasts.
  await breaks({ route: `/v1.0/users/${await id(good)}/*`, after: 6, count: 1, status: 429, headers: { "Retry-After": "12" } });
  for (const one of [good, partial, failed]) await page.getByLabel(`Select ${one.name}`, { exact: true }).check();
  await act(page, "Backup Now");
  await page.getByText(/waits: waiting \d+ s for Outlook/).waitFor();
  await look(page, "run-waits");
  const came = await result(page);
  check("the run is partial", came === "Partial", await page.locator("main").innerText());
  await look(page, "run-partial");
  await heals();

  for (const [link, name] of [["Homepage", "home-partial"], ["Failures", "failures-content"], ["Runs", "runs-partial"]]) {
    await visit(page, link);
    await look(page, name);
  }
  await visit(page, "Failures");
  const text = await page.locator("main").innerText();
  check("the failures name the account that failed", text.includes(failed.name), text);
  await follow(page, page.locator("section[aria-labelledby=accounts]").getByRole("link", { name: partial.name }));
  check("three items are not copied yet", (await page.locator("section[aria-labelledby=items] tbody tr").count()) === 3);
  check("one is skipped, and called by its subject", (await page.locator("section[aria-labelledby=skips] tbody th a").count()) === 1);
  await look(page, "failures-account");
  await follow(page, page.getByRole("button", { name: "Try again now" }));
  check("trying again copies them", (await result(page)) === "Success");
  await visit(page, "Failures");
  await follow(page, page.locator("section[aria-labelledby=failed]").getByRole("link", { name: failed.name }));
  await page.getByText("The last backup failed").waitFor();
  await look(page, "failures-account-failed");
  await page.goto(new URL(failed.href, page.url()).href);
  await page.getByText("No restore points yet").waitFor();
  await look(page, "account-without-points");
  await page.goto(new URL(partial.href, page.url()).href);
  await look(page, "account-partial");

  // Of which none could be copied.
  await breaks({ route: `/v1.0/users/${failedId}/*`, status: 403, code: "ErrorAccessDenied" });
  await page.goto(new URL(failed.href, page.url()).href);
  await follow(page, page.getByRole("button", { name: "Backup Now" }));
  check("the run has failed", (await result(page)) === "Failed");
  await look(page, "run-failed");
  await heals();
}

// Microsoft no longer takes the secret.
async function disconnected({ page, breaks, heals }) {
  await breaks({ route: "/*/oauth2/v2.0/token", status: 401, aadsts: 7000222 });
  await task(page);
  await follow(page, page.getByRole("link", { name: "Connection details" }));
  await follow(page, page.getByRole("button", { name: "Check now" }));
  await page.getByText("Disconnected", { exact: true }).waitFor();
  await look(page, "connection-disconnected");
  await task(page);
  await page.getByText("Disconnected", { exact: true }).waitFor();
  check("Backup Now is refused", await page.getByRole("button", { name: "Backup Now" }).first().isDisabled());
  await look(page, "task-disconnected");
  await visit(page, "Homepage");
  await look(page, "home-disconnected");
  await heals();
  await follow(page, page.getByRole("link", { name: "Connection details" }));
  await follow(page, page.getByRole("button", { name: "Check now" }));
  await page.getByText("Connected", { exact: true }).first().waitFor();
}

// What is in a folder, at any depth.
const filesIn = (folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile());

// The disk with the repositories is not there; then it is, with damage.
async function lostRepository({ page, data, origin }, { href }) {
  renameSync(data, `${data} elsewhere`);
  await page.goto(`${origin}${href}`);
  await page.getByText("Not readable").waitFor();
  const told = await page.locator("main").innerText();
  check("no path of the server is told", told.includes("nothing was made in their place") && !told.includes(data), told);
  await look(page, "account-absent");
  renameSync(`${data} elsewhere`, data);
  const broken = filesIn(data).filter((path) => path.includes("/snapshots/"));
  const were = broken.map((path) => readFileSync(path));
  for (const path of broken) writeFileSync(path, "not a snapshot", { mode: 0o600 });
  await page.goto(`${origin}${href}`);
  await page.getByText("Not readable").waitFor();
  check("damage is told with what to do", (await page.locator("main").innerText()).includes("a backup repairs what it can"));
  await look(page, "account-damaged");
  for (const [at, path] of broken.entries()) writeFileSync(path, were[at]);
  await page.reload();
  await page.locator(".letters").waitFor();
}

// A program's token is shown once.
async function tokens({ page }) {
  await visit(page, "Settings");
  await follow(page, page.getByRole("link", { name: "API tokens" }));
  await look(page, "tokens-empty");
  await page.getByLabel("Name").fill("<b>Nightly</b> report");
  await follow(page, page.getByRole("button", { name: "Make token" }));
  check("the token is shown", (await page.locator("#token").innerText()).startsWith("kw_"));
  await look(page, "tokens-made");
  await page.goto(page.url());
  check("the token is shown once", (await page.locator("#token").count()) === 0);
  await look(page, "tokens");
}

// An auditor, whom a page is refused; a page that is not there; and a guess too many.
async function whoMayNot({ page, person, expected, origin }) {
  await page.goto(`${origin}/settings/users`);
  await page.getByLabel("Name").fill(AUDITOR.name);
  await page.getByLabel("Address", { exact: true }).fill(AUDITOR.address);
  await page.getByLabel("Role", { exact: true }).selectOption("auditor");
  await follow(page, page.getByRole("button", { name: "Invite" }));
  const link = await page.locator("#link").innerText();
  const auditor = await person();
  await auditor.goto(link);
  await auditor.getByLabel("Password").fill(AUDITOR.password);
  await follow(auditor, auditor.getByRole("button", { name: "Choose password" }));
  await look(auditor, "home-auditor");
  await task(auditor);
  check("an auditor selects nothing", (await auditor.locator("input[type=checkbox][name=account]").count()) === 0 && (await auditor.locator("summary", { hasText: "Action" }).count()) === 0);
  await look(auditor, "task-auditor");
  await auditor.goto(`${origin}/settings/users`);
  await auditor.getByRole("heading", { name: "Not allowed" }).waitFor();
  expected("403");
  await look(auditor, "forbidden");
  await auditor.goto(`${origin}/nothing/here`);
  await auditor.getByRole("heading", { name: "Not found" }).waitFor();
  expected("404");
  await look(auditor, "not-found");
  await auditor.goto(origin);
  await signOut(auditor);
  for (let wrong = 0; wrong < 10; wrong += 1) {
    await auditor.getByLabel("Address").fill(AUDITOR.address);
    await auditor.getByLabel("Password").fill("a guess");
    await follow(auditor, auditor.getByRole("button", { name: "Sign in" }));
    if (await auditor.getByText(/Wait \d+ seconds|Too many/).count()) break;
    expected("422");
    if (wrong === 0) await look(auditor, "sign-in-refused");
  }
  await auditor.getByText(/Wait \d+ seconds|Too many/).first().waitFor();
  expected("429");
  await look(auditor, "too-often");
}

// What has the focus, as a screen reader would name it.
const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: at } = document;
    const label = at.labels?.[0]?.innerText;
    return (at.getAttribute("aria-label") ?? label ?? at.innerText ?? "").trim();
  });

// Goes on with Tab until something of this name has the focus, which must be seen.
async function tabTo(page, name) {
  for (let steps = 0; steps < 400; steps += 1) {
    await page.keyboard.press("Tab");
    const at = await focused(page);
    if (typeof name === "string" ? at === name : name.test(at)) {
      const isSeen = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none");
      check(`the focus is seen at ${name}`, isSeen);
      return;
    }
  }
  throw new Error(`Tab does not come to ${name}`);
}

// Tab and Enter, and Space for what is ticked, from signing in to a restore.
async function byKeyboard({ page, origin }, { name }) {
  await signOut(page);
  const enter = () => submitByEnter(page);
  await page.goto(origin);
  await tabTo(page, "Address");
  await page.keyboard.type(ROBIN.address);
  await tabTo(page, "Password");
  await page.keyboard.type(ROBIN.password);
  await tabTo(page, "Sign in");
  await enter();
  await tabTo(page, "Everybody");
  await enter();
  await tabTo(page, /^Active \d/);
  await enter();
  await tabTo(page, `Select ${name}`);
  await page.keyboard.press("Space");
  check("Space selects", (await page.locator("[data-selected]").innerText()) === "1 selected");
  // Backwards to the menu above the table.
  await page.locator("summary", { hasText: "Action" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("ArrowDown");
  check("the arrows move in the menu", (await focused(page)).startsWith("Backup Now"), await focused(page));
  await enter();
  const came = await result(page);
  check("the backup by keyboard is a success", came === "Success", came);
  await tabTo(page, name);
  await enter();
  await tabTo(page, "Restore…");
  await enter();
  await tabTo(page, "Review…");
  await enter();
  await tabTo(page, /^Restore \d+ items/);
  await enter();
  const restored = await result(page);
  check("the restore by keyboard is a success", restored === "Success", await page.locator("main").innerText());
  await look(page, "restore-report-mailbox");
}

// The same for somebody whose browser runs no script.
async function withoutScript({ person, origin }, { name, href }) {
  const page = await person({ javaScriptEnabled: false });
  const picture = (name) => look(page, `no-script-${name}`, { hasScript: false });
  await page.goto(origin);
  await signIn(page, ROBIN);
  await picture("home");
  await task(page);
  await picture("task");
  await follow(page, page.locator(".chips a", { hasText: /^Active / }));
  await page.getByLabel(`Select ${name}`, { exact: true }).check();
  await act(page, "Backup Now");
  await reloadUntil(page, "the run's end", async () => (await page.locator(".title .rs:not(.progress, .scheduled)").count()) > 0);
  check("the backup without script is a success", (await page.locator(".title .rs").innerText()) === "Success");
  await picture("run");
  await page.goto(`${origin}${href}`);
  await follow(page, page.locator(".letters li a").first());
  await picture("account");
  await follow(page, page.getByRole("link", { name: "Restore 1 item…" }));
  await picture("restore");
  await follow(page, page.getByRole("button", { name: "Review…" }));
  await follow(page, page.getByRole("button", { name: "Restore 1 item" }));
  await reloadUntil(page, "the restore's end", async () => (await page.locator(".title .rs:not(.progress, .scheduled)").count()) > 0);
  check("the restore without script is a success", (await page.locator(".title .rs").innerText()) === "Success");
  const times = await page.locator("time").allInnerTexts();
  check("without script times are in UTC and say so", times.length > 0 && times.every((time) => time.endsWith("UTC")), times.join());
}

