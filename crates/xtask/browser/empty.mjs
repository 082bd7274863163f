// From an empty folder to a restored message that the emulated Microsoft then holds, with the processes that an administrator would start: the tenant
// alone, a key, and `keepwell serve`. The app is registered as the wizard's script would do it, with the certificate that the wizard gives.

import { readFileSync } from "node:fs";

import { accountRows, act, check, exactly, follow, look, microsoft, reloadUntil, result, serve, signUp, start, throughMicrosoft, visit, withPeople } from "./kit.mjs";

// Some of them have no licence, and are no accounts of a task by default.
const PEOPLE = 8;
const MAILBOXES = 6;
const GRAPH = "00000003-0000-0000-c000-000000000000";
const ROBIN = { name: "Robin Meyer", address: "robin@contoso.example", password: "correct horse battery" };
// A message with everything that a restore has to bring back. Its attachment holds every byte.
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const LETTER = [
  "From: Petra Lindqvist <petra@example.com>",
  "To: Somebody <somebody@example.com>",
  "Subject: =?utf-8?q?The_lease_for_B=C3=BClowstra=C3=9Fe_9?=",
  "Date: Tue, 17 Nov 2026 08:05:12 +0000",
  "Message-ID: <lease-9@example.com>",
  "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  "Content-Type: text/html; charset=utf-8",
  "",
  "<p>Signed, and <b>valid</b> from January.</p>",
  "--b",
  "Content-Type: application/octet-stream",
  'Content-Disposition: attachment; filename="every byte.bin"',
  "Content-Transfer-Encoding: base64",
  "",
  BYTES.toString("base64").replace(/.{76}/g, "$&\r\n"),
  "--b--",
  "",
].join("\r\n");
const SUBJECT = "The lease for Bülowstraße 9";

export async function empty(browser) {
  // Who registers apps for the tenant may do so by Graph, too.
  const tenant = await start(["emulator", "--users", String(PEOPLE), "--permission", "Application.ReadWrite.All"]);
  const emulator = JSON.parse(tenant.lines[0]);
  const { origin, code, said, end } = await serve(emulator.http);
  await withPeople(browser, "empty", [origin, emulator.http], said, async (person, expected) => {
    const graph = await microsoft(emulator);
    const page = await person();
    await firstVisit(page, expected, origin, code);
    await wizard(page, expected, origin, emulator, graph);
    await backUpAndRestore(page, graph);
  });
  await end();
  await tenant.stop();
}

// The first visitor, who has the set-up code, makes the organization and meets an empty Homepage.
async function firstVisit(page, expected, origin, code) {
  await page.goto(origin);
  await look(page, "sign-in-first");
  await follow(page, page.getByRole("link", { name: "Make the first one" }));
  await page.getByRole("heading", { level: 1, name: "Create the first organization" }).waitFor();
  await look(page, "sign-up");
  await signUp(page, "AAAAA-AAAAA-AAAAA-AAAAA", ROBIN);
  await page.getByText("The set-up code is not right.").first().waitFor();
  expected("422");
  check("what was typed stays", (await page.getByLabel("Organization").inputValue()) === "Contoso");
  await look(page, "sign-up-refused");
  await signUp(page, code, ROBIN);
  await page.getByText("Nobody has downloaded the emergency kit yet.").waitFor();
  await look(page, "settings-empty");
  const [kit] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download emergency kit" }).click()]);
  check("the emergency kit is a page", readFileSync(await kit.path(), "utf8").includes("Contoso"));
  await visit(page, "Homepage");
  await page.getByText("No backup task yet").waitFor();
  await look(page, "home-empty");
  for (const [link, says] of [["Runs", "No run yet"], ["Restores", "No restore yet"], ["Failures", "Nothing has been backed up yet"]]) {
    await visit(page, link);
    await page.getByText(says).waitFor();
    await look(page, `${link.toLowerCase()}-empty`);
  }
  await visit(page, "Homepage");
}

// A task, past what can go wrong on the way: no name, no app, a wrong secret, somebody who may not consent, somebody who changes their mind.
async function wizard(page, expected, origin, emulator, graph) {
  await follow(page, page.getByRole("link", { name: "New backup task" }).first());
  await page.getByLabel("Name").fill("  ");
  await follow(page, page.getByRole("button", { name: "Next" }));
  await page.getByText("Enter a name of at most 100 characters.").waitFor();
  expected("422");
  await look(page, "wizard-name-refused");
  await page.getByLabel("Name").fill("Head office mail");
  await follow(page, page.getByRole("button", { name: "Next" }));

  // The app registration, by what the wizard says: the redirect URI, the permissions, the certificate.
  const redirect = await page.locator("#redirect-uri").innerText();
  check("the redirect URI is this console's", redirect === `${origin}/connect/return`, redirect);
  const names = await page.locator("dl.permissions dt").allInnerTexts();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download keepwell.cer" }).click()]);
  const certificate = readFileSync(await download.path(), "utf8").replace(/-----.*-----|\s/g, "");
  await page.locator("summary", { hasText: "Register the app by a script" }).click();
  const script = await page.locator("#script").innerText();
  check("the script has all of this", [redirect, certificate, ...names].every((text) => script.includes(`'${text}'`)), script);
  await look(page, "wizard-authenticate-script");
  const { value: [resource] } = await graph(`/servicePrincipals?$filter=appId eq '${GRAPH}'`);
  const app = await graph("/applications", {
    json: {
      displayName: "Keepwell for Exchange",
      web: { redirectUris: [redirect] },
      requiredResourceAccess: [{ resourceAppId: GRAPH, resourceAccess: resource.appRoles.filter(({ value }) => names.includes(value)).map(({ id }) => ({ id, type: "Role" })) }],
      keyCredentials: [{ type: "AsymmetricX509Cert", usage: "Verify", key: certificate }],
    },
  });

  const authenticate = page.getByRole("button", { name: "Authenticate with Microsoft" });
  const [proof, secret] = ["certificate", "secret"].map((value) => page.locator(`input[name=proof][value=${value}]`));
  const administrator = { name: emulator.administrator.user_principal_name, password: emulator.administrator.password };
  const user = { name: emulator.user.user_principal_name, password: emulator.user.password };
  const refused = async (text, name) => {
    await page.getByRole("alert").getByText(text).waitFor();
    await look(page, name);
  };
  await follow(page, authenticate);
  expected("422");
  await refused("Enter the application (client) id", "wizard-refused-id");

  await page.getByLabel("Tenant").fill(emulator.tenant_id);
  await page.getByLabel("Application (client) ID").fill(app.appId);
  await secret.check();
  await page.getByLabel("Client secret", { exact: true }).fill("not the secret");
  await authenticate.click();
  await throughMicrosoft(page, origin, user);
  await refused("The client secret is not right.", "wizard-refused-secret");

  await proof.check();
  await authenticate.click();
  await throughMicrosoft(page, origin, user);
  await refused("This needs a Global Administrator or a Privileged Role Administrator.", "wizard-refused-role");

  await authenticate.click();
  await throughMicrosoft(page, origin, administrator, "cancel");
  await refused("Nothing was granted, because consent was cancelled.", "wizard-refused-consent");

  await authenticate.click();
  await throughMicrosoft(page, origin, administrator);
  await page.getByText("Connected", { exact: true }).waitFor();
  await look(page, "wizard-review");
  await page.getByLabel("Schedule").selectOption("manual");
  await follow(page, page.getByRole("button", { name: "Create backup task" }));
  await page.getByRole("heading", { level: 1, name: "Head office mail" }).waitFor();
  await page.getByText("Connected", { exact: true }).waitFor();
}

// The accounts are found and backed up; a message is read, lost at the source, and restored.
async function backUpAndRestore(page, graph) {
  await reloadUntil(page, "accounts", async () => (await accountRows(page).count()) > 0);
  const all = await accountRows(page).count();
  check("the mailboxes are found", all === MAILBOXES, `${all} accounts`);
  await look(page, "task-none-active");
  const address = await accountRows(page).locator("th .id > span:not(.st)").first().innerText();
  const inbox = `/users/${address}/mailFolders/inbox/messages`;
  await graph(inbox, { method: "POST", headers: { "content-type": "text/plain" }, body: Buffer.from(LETTER).toString("base64") });
  const lost = (await graph(`${inbox}?$top=100`)).value.find(({ subject }) => subject === SUBJECT);
  const mime = await graph(`/users/${address}/messages/${lost.id}/$value`);

  await page.getByLabel(/^Select the/).check();
  await act(page, "Activate");
  await page.getByText(`${all} accounts activated.`).waitFor();
  await look(page, "task-active");
  await follow(page, page.getByRole("button", { name: "Backup Now" }).first());
  await page.getByRole("heading", { level: 1, name: /^Run of/ }).waitFor();
  await page.evaluate(() => (window.isTheSamePage = true));
  const run = await result(page);
  check("the run is a success", run === "Success", `${run}: ${await page.locator("main").innerText()}`);
  check("the run's page was not loaded again", await page.evaluate(() => window.isTheSamePage));
  const sentence = await page.locator("[data-sentence]").innerText();
  check("the run's page is at its end", sentence === `${all} of ${all} accounts done`, sentence);

  // The message, as the backup has it.
  await follow(page, page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Head office mail" }));
  await follow(page, accountRows(page).locator("th a").first());
  await follow(page, page.locator(".letters li a", { has: page.locator("em", { hasText: exactly(SUBJECT) }) }));
  await page.frameLocator("iframe.mail-frame").getByText("Signed, and valid from January.").waitFor();
  const saved = async (name) => {
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
    return readFileSync(await file.path());
  };
  check("the message is saved byte for byte", (await saved("Download as EML")).equals(mime));
  check("its attachment is saved byte for byte", (await saved(/^every byte\.bin/)).equals(BYTES));

  // Somebody deletes it for good, and everything is put back by the console.
  await graph(`/users/${address}/messages/${lost.id}/permanentDelete`, { method: "POST" });
  const left = (await graph(`/users/${address}/messages?$top=200&$select=subject`)).value;
  check("the message is gone at the source", left.every(({ subject }) => subject !== SUBJECT));
  await follow(page, page.getByRole("link", { name: "Restore 1 item…" }));
  await follow(page, page.getByRole("button", { name: "Review…" }));
  await follow(page, page.getByRole("button", { name: "Restore 1 item" }));
  const restored = await result(page);
  const report = await page.locator("main").innerText();
  check("the restore is a success", restored === "Success", report);
  const folder = /“(.+?)”/.exec(report)?.[1];
  const { value: folders } = await graph(`/users/${address}/mailFolders?$top=100`);
  const made = folders.find(({ displayName }) => displayName === folder);
  check("the new folder is in the mailbox", made !== undefined, `${folder} among ${folders.map(({ displayName }) => displayName)}`);
  const { value: messages } = await graph(`/users/${address}/mailFolders/${made.id}/messages`);
  check("the folder holds the message alone", messages.length === 1, JSON.stringify(messages));
  for (const field of ["subject", "body", "from", "toRecipients", "receivedDateTime", "sentDateTime", "internetMessageId", "isRead", "isDraft", "hasAttachments"]) {
    const [was, is] = [lost, messages[0]].map((message) => JSON.stringify(message[field]));
    check(`its ${field} is as it was`, was === is, `${was} became ${is}`);
  }
  const { value: attachments } = await graph(`/users/${address}/messages/${messages[0].id}/attachments`);
  check("its attachment is as it was", attachments.length === 1 && attachments[0].name === "every byte.bin" && attachments[0].contentBytes === BYTES.toString("base64"), JSON.stringify(attachments));
}
