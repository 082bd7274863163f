// The console of `keepwell demo`: selection, undo, filters, content that strangers chose, downloads, search, restore, audit, users, a second task.

import { readFileSync } from "node:fs";

import { RUN_MS, act, check, exactly, follow, look, microsoft, result, signIn, signOut, start, submitByEnter, throughMicrosoft, visit, withPeople } from "./kit.mjs";

// What strangers choose: names that would be markup, and texts that would act or load something (abuse 71, 77, 93, 100). Nothing of it is to be
// anything but text.
const HOSTILE = [
  { subject: `<img src=x onerror=alert(1)>`, html: `<img src=x onerror=alert(1)><img src=https://tracker.example/1.gif><p>text 0</p>` },
  { subject: `"><script>alert(2)</script>`, html: `<script>alert(2)</script><svg onload=alert(2)><a xlink:href="javascript:alert(2)">x</a></svg><p>text 1</p>` },
  { subject: `'onmouseover='alert(3)' {{7*7}} \u202egpj.exe`, html: `<a href="java&#9;script:alert(3)" target=_blank>x</a><a href="&#106;avascript:alert(3)">y</a><p>text 2</p>` },
  { subject: `=HYPERLINK("https://evil.example")`, html: `<style>@import url(https://evil.example/a.css);p{background:url(https://evil.example/b)}</style><p style="position:fixed;inset:0;background:url(https://evil.example/c)">text 3</p>` },
  { subject: `${"long".repeat(100)}`, html: `<meta http-equiv=refresh content="0;url=https://evil.example"><base href=https://evil.example/><form action=https://evil.example><button>text 4</button></form>` },
  { subject: `../../etc/passwd`, html: `<iframe srcdoc="<script>parent.alert(5)</script>"></iframe><object data=https://evil.example></object><embed src=https://evil.example><p>text 5</p>` },
  { subject: `<math><mtext><table><mglyph>`, html: `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(6)&gt;"></table></mtext></math><noscript><p title="</noscript><img src=x onerror=alert(6)>"></noscript><p>text 6</p>` },
];

export async function demo(browser) {
  const { lines, said, stop } = await start(["demo", "--json", "--listen", "127.0.0.1:0", "--users", "12"]);
  const ready = JSON.parse(lines[0]);
  const ours = [ready.console, ready.microsoft.http].map((url) => new URL(url).origin);
  await withPeople(browser, "demo", ours, said, async (person) => {
    // The second is somebody else, at another machine.
    await walk(await person(), await person(), ready, await microsoft(ready.microsoft));
  });
  await stop();
}

// What a stranger called an attachment.
const FILE = `"><img src=x onerror=alert('file')>\u202egpj.exe`;

// Puts a mail into somebody's inbox.
async function deliver(graph, address, { subject, html }) {
  const words = subject.match(/.{1,30}/gsu).map((part) => `=?utf-8?b?${Buffer.from(part).toString("base64")}?=`);
  const mime = `From: "<script>alert('sender')</script>" <stranger@example.com>\r\nTo: ${address}\r\nSubject: ${words.join("\r\n ")}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}\r\n--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename*=utf-8''${encodeURIComponent(FILE).replace(/['()]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)}\r\n\r\n<script>alert('file')</script>\r\n--b--\r\n`;
  await graph(`/users/${address}/mailFolders/inbox/messages`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: Buffer.from(mime).toString("base64"),
  });
}

// A second administrator is invited, signs in, and is disabled.
async function users(page, other) {
  const bea = { name: "Bea <b>Kaufmann</b>", address: "bea@example.com", password: "a long enough password" };
  await visit(page, "Settings");
  await follow(page, page.getByRole("link", { name: "Manage users" }));
  await page.getByLabel("Name").fill(bea.name);
  await page.getByLabel("Address", { exact: true }).fill(bea.address);
  await page.getByLabel("Role", { exact: true }).selectOption("administrator");
  await look(page, "users");
  await follow(page, page.getByRole("button", { name: "Invite" }));
  const link = await page.locator("#link").innerText();
  await look(page, "user-invited");

  await other.goto(link);
  await other.getByRole("heading", { level: 1, name: `Welcome, ${bea.name}` }).waitFor();
  await look(other, "join");
  await other.getByLabel("Password").fill(bea.password);
  await follow(other, other.getByRole("button", { name: "Choose password" }));
  await other.getByRole("heading", { level: 1, name: "Homepage" }).waitFor();
  await signOut(other);
  await signIn(other, bea);
  await visit(other, "Settings");
  check("the second administrator administers", await other.getByRole("link", { name: "Manage users" }).isVisible());

  await visit(page, "Settings");
  await follow(page, page.getByRole("link", { name: "Manage users" }));
  const row = page.locator("section[aria-labelledby=users] tbody tr", { hasText: bea.address });
  check("the second administrator is active", (await row.innerText()).includes("Active"));
  await follow(page, row.getByRole("link"));
  check("the link is shown once", (await page.locator("#link").count()) === 0);
  await look(page, "user");
  await follow(page, page.getByRole("button", { name: `Disable ${bea.name}` }));
  await page.getByText("is signed out and can no longer sign in").waitFor();
  await look(page, "user-disabled");
  await other.reload();
  check("who is disabled is signed out", new URL(other.url()).pathname === "/sign-in", other.url());
}

async function walk(page, other, ready, graph) {
  const task = page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Head office mail" });

  // Signing in.
  await page.goto(ready.console);
  await look(page, "sign-in");
  await signIn(page, ready);

  // The task that is there: its connection, its accounts. From now on nothing begins but by what is done here.
  await follow(page, task);
  await page.getByText("Connected", { exact: true }).waitFor();
  const rows = await page.locator("section[aria-labelledby=accounts] tbody tr").count();
  check("accounts are listed", rows >= 8, `${rows} rows`);
  const settings = page.locator("details.fold");
  if (!(await settings.evaluate((details) => details.open))) await settings.locator("summary").click();
  await page.getByLabel("Schedule").selectOption("manual");
  await follow(page, page.getByRole("button", { name: "Save settings" }));
  check("the schedule is kept", (await page.getByLabel("Schedule").inputValue()) === "manual");

  // The first backup, live, without reloading.
  await follow(page, page.locator("section[aria-labelledby=runs] tbody th a").last());
  await page.getByRole("heading", { level: 1 }).waitFor();
  await look(page, "run");
  const first = await result(page);
  check("the first run is a success", first === "Success", `${first}: ${await page.locator("main").innerText()}`);
  await look(page, "run-over");

  // A run that the schedule began before it was changed would stand in the way of the next ones.
  await visit(page, "Runs");
  for (const since = Date.now(); (await page.locator("tbody .rs.progress, tbody .rs.scheduled").count()) > 0; await page.reload()) {
    if (Date.now() - since > RUN_MS) throw new Error("a run does not end");
  }

  // Pausing and activating by selection.
  await follow(page, task);
  await page.locator("input[name=account]").nth(0).check();
  await page.locator("input[name=account]").nth(1).check();
  check("the selection is counted", (await page.locator("[data-selected]").innerText()) === "2 selected");
  await page.locator("summary", { hasText: "Action" }).click();
  await look(page, "task-selection");
  await follow(page, page.getByRole("button", { name: /^Pause/ }));
  await page.getByText("2 accounts paused.").waitFor();
  check("what can be undone is seen", await page.getByRole("button", { name: "Undo" }).evaluate((button) => button.getBoundingClientRect().bottom < innerHeight && scrollY === 0));
  await look(page, "task-undo");
  await follow(page, page.getByRole("button", { name: "Undo" }));
  await page.getByText("2 accounts are as before.").waitFor();
  check("what was undone is undone", (await page.getByRole("link", { name: /^Paused/ }).count()) === 0);
  await page.locator("input[name=account]").nth(0).check();
  await page.locator("input[name=account]").nth(1).check();
  await page.locator("summary", { hasText: "Action" }).click();
  await follow(page, page.getByRole("button", { name: /^Pause/ }));
  await follow(page, page.getByRole("link", { name: /^Paused 2/ }));
  check("the filter leaves two", (await page.locator("input[name=account]").count()) === 2);
  await page.getByLabel(/^Select the/).check();
  await page.locator("summary", { hasText: "Action" }).click();
  await follow(page, page.getByRole("button", { name: /^Activate/ }));
  await page.getByText("2 accounts activated.").waitFor();
  await follow(page, page.getByRole("link", { name: /^All \d/ }));
  await follow(page, page.getByRole("link", { name: "Size" }));
  check("the table is sorted by size", (await page.locator("th[aria-sort=ascending]").innerText()).startsWith("Size"));
  await page.getByLabel("Find an account").fill("zzzz");
  await submitByEnter(page);
  await page.getByText("No account matches").waitFor();
  await follow(page, task);
  await look(page, "task");
  await page.locator("summary", { hasText: "Columns" }).click();
  await page.getByLabel("Failures").uncheck();
  await look(page, "task-columns");
  await follow(page, page.getByRole("button", { name: "Show these" }));
  check("a column is left out", (await page.locator("section[aria-labelledby=accounts] thead th", { hasText: "Failures" }).count()) === 0);
  check("the others are kept, by the address", new URL(page.url()).searchParams.getAll("column").join() === "status,result,backup,items,size", page.url());

  // Backup Now, of what strangers have sent since.
  const address = await page.locator("section[aria-labelledby=accounts] tbody th .id > span").first().innerText();
  for (const mail of HOSTILE) await deliver(graph, address, mail);
  await graph(`/users/${address}/mailFolders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ displayName: `"><script>alert('folder')</script>` }),
  });
  await follow(page, page.getByRole("button", { name: "Backup Now" }).first());
  const second = await result(page);
  check("the second run is a success", second === "Success", `${second}: ${await page.locator("main").innerText()}`);

  // An account, a restore point, a message.
  await follow(page, task);
  const account = page.locator("section[aria-labelledby=accounts] tbody th a").first();
  await follow(page, account);
  await page.getByRole("heading", { name: "Restore points" }).waitFor();
  for (const [number, { subject }] of HOSTILE.entries()) {
    const one = subject.replace(/\s+/g, " ");
    await follow(page, page.locator(".letters li a", { has: page.locator("em", { hasText: exactly(one) }) }));
    check(`subject ${number} is text`, (await page.locator(".preview h2").textContent()) === subject, await page.locator(".preview h2").textContent());
    const frame = page.frameLocator("iframe.mail-frame");
    await frame.getByText(`text ${number}`).waitFor();
    check(`attachment ${number} is text`, (await page.locator(".att .name").textContent()) === FILE, await page.locator(".att .name").textContent());
    const left = await frame.locator("script, iframe, object, embed, form, style:not(head style), meta[http-equiv], base, svg, math, a[href], [src]:not([src^='data:'])").count();
    check(`text ${number} neither acts nor loads`, left === 0, `${left} elements`);
    if (number === 4) await look(page, "account-long");
  }

  const chips = await page.locator(".times time").allInnerTexts();
  check("the times of a day are the reader's", chips.length === 2 && chips.every((text) => /^\d\d:\d\d:\d\d$/.test(text)), chips.join());

  // Several messages restored together, into somebody else's mailbox, who is searched for.
  for (const number of [0, 1, 2]) await page.locator(".msgs input[name=message]").nth(number).check();
  const ticked = (await page.locator(".letters li em").allTextContents()).slice(0, 3);
  await follow(page, page.getByRole("button", { name: "Restore 3 messages" }));
  const names = await page.locator("input[name=to] + label").allInnerTexts();
  await page.getByLabel("Find another account").fill(names[1].split(" ")[0]);
  await submitByEnter(page);
  check("what was selected stays", (await page.getByLabel("These 3 messages").count()) === 1);
  await page.getByLabel(names[1], { exact: true }).check();
  await look(page, "restore-several");
  await follow(page, page.getByRole("button", { name: "Review…" }));
  await page.getByText("Another account", { exact: true }).waitFor();
  const told = (await page.locator(".review li").allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
  check("the messages are named", ticked.every((subject) => told.includes(subject.replace(/\s+/g, " "))), `${ticked} as ${told}`);
  await look(page, "restore-review-several");
  await follow(page, page.getByRole("button", { name: "Restore 3 items" }));
  check("several messages are restored", (await result(page)) === "Success", await page.locator("main").innerText());
  const several = /“(.+?)”/.exec(await page.locator("main").innerText())?.[1];
  const { value: people } = await graph(`/users?$top=100&$select=displayName,userPrincipalName`);
  const whose = people.find(({ displayName }) => displayName === names[1]).userPrincipalName;
  const { value: theirs } = await graph(`/users/${whose}/mailFolders?$top=100`);
  const there = theirs.find(({ displayName }) => displayName === several);
  const { value: brought } = await graph(`/users/${whose}/mailFolders/${there.id}/messages?$select=subject`);
  check("the other mailbox holds all of them", brought.length === 3, JSON.stringify(brought));
  check("they are those that were ticked", ticked.every((subject) => brought.some((message) => message.subject.replace(/\s+/g, " ") === subject.replace(/\s+/g, " "))), JSON.stringify(brought));
  await follow(page, task);
  await follow(page, account);

  // Several messages as one ZIP.
  for (const number of [0, 1, 2]) await page.locator(".msgs input[name=message]").nth(number).check();
  const [zip] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download 3 messages" }).click()]);
  const bytes = readFileSync(await zip.path());
  check("the ZIP is named and whole", zip.suggestedFilename().endsWith(".zip") && bytes.readUInt16LE(bytes.length - 22 + 10) === 3, `${zip.suggestedFilename()}, ${bytes.length} bytes`);

  // Search.
  await follow(page, page.locator(".msgs .head").getByRole("link", { name: "Search" }));
  await look(page, "search");
  await page.getByLabel("Subject or sender").fill("onerror");
  await submitByEnter(page);
  await page.getByText("Everything has been looked at.").waitFor();
  check("search finds one message", (await page.locator("section[aria-labelledby=found] tbody tr").count()) === 1);
  await look(page, "search-found");
  await follow(page, page.locator("section[aria-labelledby=found] tbody th a"));
  check("what was found opens", (await page.locator(".preview h2").textContent()) === HOSTILE[0].subject);

  // One that is none of these.
  await follow(page, page.locator(".letters li a").nth(HOSTILE.length));
  const subject = await page.locator(".preview h2").innerText();
  const body = await page.frameLocator("iframe.mail-frame").locator("body").innerText();
  check("the message's text is shown", body.trim().length > 0);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download as EML" }).click()]);
  check("the message can be downloaded", download.suggestedFilename().endsWith(".eml"));
  await look(page, "account");

  // A restore of this message into a new folder.
  await follow(page, page.getByRole("link", { name: "Restore 1 item…" }));
  await page.getByRole("heading", { level: 1, name: "Restore" }).waitFor();
  const points = await page.getByLabel("Restore point").locator("option").allInnerTexts();
  check("restore points are told in the reader's zone", points.every((text) => /^(Today|Yesterday) \d\d:\d\d, \d+ items$/.test(text)), points.join());
  await look(page, "restore");
  await follow(page, page.getByRole("button", { name: "Review…" }));
  await page.getByRole("heading", { level: 1, name: "Restore 1 item?" }).waitFor();
  check("it is said what will be done", (await page.locator("main").innerText()).includes(subject));
  await look(page, "restore-review");
  await follow(page, page.getByRole("button", { name: "Restore 1 item" }));
  const restored = await result(page);
  const report = await page.locator("main").innerText();
  check("the restore is a success", restored === "Success", report);
  await look(page, "restore-report");

  // The emulated Microsoft holds it.
  const folder = /“(.+?)”/.exec(report)?.[1];
  const { value: folders } = await graph(`/users/${address}/mailFolders?$top=100`);
  const made = folders.find((one) => one.displayName === folder);
  check("the new folder is in the mailbox", made !== undefined, `${folder} among ${folders.map((one) => one.displayName)}`);
  if (made) {
    const { value: messages } = await graph(`/users/${address}/mailFolders/${made.id}/messages?$select=subject`);
    check("the message is in the folder", messages.length === 1 && messages[0].subject === subject, JSON.stringify(messages));
  }

  // What was done is in the audit, and every other page stands.
  for (const [link, name] of [["Runs", "runs"], ["Restores", "restores"], ["Failures", "failures"], ["Audit", "audit"], ["Homepage", "home"]]) {
    await visit(page, link);
    await page.getByRole("heading", { level: 1, name: link }).waitFor();
    await look(page, name);
    if (name === "audit") {
      const text = await page.locator("main").innerText();
      for (const what of ["signed in", "looked at a message", "downloaded a message", "began a restore"]) check(`the audit has “${what}”`, text.includes(what));
      check("the audit's chain is unbroken", text.includes("Unbroken"));
      const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export CSV" }).click()]);
      const lines = readFileSync(await file.path(), "utf8").split("\n");
      check("the audit is a file", lines[0].startsWith("number,time,who") && lines.length > 20, `${lines.length} lines`);
    }
  }

  // A second task, by the wizard and Microsoft's own pages.
  await follow(page, page.getByRole("link", { name: "New backup task" }).first());
  await look(page, "wizard-name");
  await page.getByLabel("Name").fill("Second task");
  await follow(page, page.getByRole("button", { name: "Next" }));
  await page.getByLabel(/The app of this server/).check();
  await look(page, "wizard-authenticate");
  await follow(page, page.getByRole("button", { name: "Authenticate with Microsoft" }));
  const { administrator: name, administrator_password: password } = ready.microsoft;
  await throughMicrosoft(page, new URL(ready.console).origin, { name, password });
  await page.getByRole("button", { name: "Create backup task" }).waitFor();
  await look(page, "wizard-review");
  await follow(page, page.getByRole("button", { name: "Create backup task" }));
  await page.getByRole("heading", { level: 1, name: "Second task" }).waitFor();
  await page.getByText("Connected", { exact: true }).waitFor();
  await follow(page, page.getByRole("link", { name: "Connection details" }));
  await look(page, "connection");
  await visit(page, "Settings");
  await look(page, "settings");

  await users(page, other);

  // Signing out.
  await signOut(page);
  check("signed out", new URL(page.url()).pathname === "/sign-in");
}
