// What the console does beyond links and forms: times in the reader's zone, the selection of accounts, live numbers, menus that close, copying.
// Every page works without it.

// Times: "today at 08:05" in the reader's zone; the exact time with its zone is in the title.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const format = (options) => new Intl.DateTimeFormat("en-GB", options);
const clock = format({ hour: "2-digit", minute: "2-digit" });
const seconds = format({ timeStyle: "medium" });
const weekday = format({ weekday: "long" });
const dayOnly = format({ day: "numeric", month: "long" });
const dayAndYear = format({ day: "numeric", month: "long", year: "numeric" });
const weekdayShort = format({ weekday: "short" });
const dayShort = format({ day: "numeric", month: "short" });
const dayAndYearShort = format({ day: "numeric", month: "short", year: "numeric" });
const exact = format({ dateStyle: "full", timeStyle: "long" });

// The server is told the zone, for what it makes of whole days.
document.cookie = `__Host-keepwell-zone=${zone}; path=/; secure; samesite=lax; max-age=31536000`;

function daysAgo(time, now) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(now) - midnight(time)) / 86_400_000);
}

// For where there is little room, beside a name: the further back, the less exact.
function fewWords(time, now) {
  const days = daysAgo(time, now);
  if (days === 0) return clock.format(time);
  if (days > 0 && days < 7) return `${weekdayShort.format(time)} ${clock.format(time)}`;
  return (time.getFullYear() === now.getFullYear() ? dayShort : dayAndYearShort).format(time);
}

function words(time, now) {
  const days = daysAgo(time, now);
  const at = clock.format(time);
  if (days === 0) return `today ${at}`;
  if (days === 1) return `yesterday ${at}`;
  if (days === -1) return `tomorrow ${at}`;
  if (days > 1 && days < 7) return `${weekday.format(time)} ${at}`;
  const day = time.getFullYear() === now.getFullYear() ? dayOnly : dayAndYear;
  return `${day.format(time)}, ${at}`;
}

function tellTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([data-told])")) {
    const time = new Date(element.dateTime);
    if (Number.isNaN(time.getTime())) continue;
    const tell = element.hasAttribute("data-clock") ? (time) => seconds.format(time) : element.hasAttribute("data-short") ? fewWords : words;
    const text = tell(time, new Date());
    element.textContent = element.hasAttribute("data-begins") ? text[0].toUpperCase() + text.slice(1) : text;
    element.title = `${exact.format(time)} (${zone})`;
    element.dataset.told = "";
  }
  // What an option says is text alone.
  for (const option of root.querySelectorAll("option[data-time]")) {
    const time = new Date(option.dataset.time);
    const text = words(time, new Date());
    option.textContent = text[0].toUpperCase() + text.slice(1) + option.dataset.about;
    option.title = `${exact.format(time)} (${zone})`;
  }
}

// Where a time zone is typed, those that the browser knows are offered.
function offerZones(field) {
  const list = document.createElement("datalist");
  list.id = `${field.id}-list`;
  for (const name of ["UTC", ...Intl.supportedValuesOf("timeZone")]) list.append(new Option(name));
  field.after(list);
  field.setAttribute("list", list.id);
}

// The selection of accounts: how many, of which status, and to how many each entry of the menu applies.
function selection(form) {
  const boxes = [...form.querySelectorAll("input[name=account]")];
  const all = form.querySelector("[data-select-page]");
  const told = form.querySelector("[data-selected]");
  const everything = form.querySelector("[data-select-all]");
  const clear = form.querySelector("[data-clear]");
  const whole = form.querySelector("input[name=everything]");
  let last = null;

  const tell = () => {
    const chosen = boxes.filter((box) => box.checked);
    const isWhole = whole.value !== "";
    const count = isWhole ? Number(everything.dataset.selectAll) : chosen.length;
    told.textContent = `${count.toLocaleString("en-GB")} selected`;
    all.checked = isWhole || (boxes.length > 0 && chosen.length === boxes.length);
    all.indeterminate = !all.checked && chosen.length > 0;
    everything.hidden = isWhole || chosen.length < boxes.length || Number(everything.dataset.selectAll) <= boxes.length;
    clear.hidden = count === 0;
    for (const box of boxes) box.closest("tr").classList.toggle("on", isWhole || box.checked);
    for (const entry of form.querySelectorAll("button[data-applies]")) {
      const statuses = entry.dataset.applies.split(" ");
      const applies = isWhole ? count : chosen.filter((box) => statuses.includes(box.dataset.status)).length;
      entry.querySelector("small").textContent =
        isWhole ? "those it applies to" : applies > 0 ? `${applies} ${applies === 1 ? "account" : "accounts"}` : entry.dataset.none;
      entry.disabled = applies === 0;
    }
  };
  form.addEventListener("change", (event) => {
    if (event.target === all) for (const box of boxes) box.checked = all.checked;
    whole.value = "";
    tell();
  });
  form.addEventListener("click", (event) => {
    const at = boxes.indexOf(event.target);
    if (at < 0) return;
    if (event.shiftKey && last !== null) {
      for (const box of boxes.slice(Math.min(at, last), Math.max(at, last) + 1)) box.checked = event.target.checked;
    }
    last = at;
    tell();
  });
  everything.addEventListener("click", () => {
    whole.value = "yes";
    tell();
  });
  clear.addEventListener("click", () => {
    whole.value = "";
    for (const box of boxes) box.checked = false;
    tell();
  });
  tell();
}

// The messages that are picked for a download or a restore: the buttons say how many, and are of use only when there are some.
function picking(form) {
  const boxes = [...form.querySelectorAll("input[name=message]")];
  const tell = () => {
    const count = boxes.filter((box) => box.checked).length;
    for (const button of form.querySelectorAll("button:has([data-picked-count])")) {
      button.querySelector("[data-picked-count]").textContent = count === 0 ? "" : ` ${count}`;
      button.querySelector("[data-picked-noun]").textContent = ` ${count === 0 ? "selected messages" : count === 1 ? "message" : "messages"}`;
      button.disabled = count === 0;
    }
  };
  form.addEventListener("change", tell);
  tell();
}

// Markup from the server, escaped there: only by this policy may it become part of the page.
const policy = window.trustedTypes?.createPolicy("keepwell", { createHTML: (text) => text });
const markup = (text) => policy?.createHTML(text) ?? text;

// Live numbers: the server sends the part of the page anew whenever something has changed, for the last time when it is over.
function live(part) {
  const stream = new EventSource(part.dataset.live);
  const stale = document.querySelector("[data-stale]");
  const spoken = document.querySelector("[data-spoken]");
  let spokenAt = 0;
  const show = (event) => {
    const focused = document.activeElement?.id;
    const asked = part.querySelector("details.confirm[open]");
    if (asked) return;
    part.innerHTML = markup(event.data);
    tellTimes(part);
    if (focused) document.getElementById(focused)?.focus();
    stale.hidden = true;
    const sentence = part.querySelector("[data-sentence]")?.textContent;
    if (sentence && (event.type === "over" || Date.now() - spokenAt > 30_000)) {
      spoken.textContent = sentence;
      spokenAt = Date.now();
    }
  };
  stream.addEventListener("part", show);
  stream.addEventListener("over", (event) => {
    stream.close();
    part.querySelector("details.confirm[open]")?.removeAttribute("open");
    show(event);
  });
  stream.addEventListener("error", () => {
    stale.hidden = false;
    // After an answer that was an error it does not connect again by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => live(part), 3_000);
  });
}

// A page that waits for Microsoft asks again by itself: what it says then takes its place, and where it leads to is followed.
async function poll(part) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) continue;
    if (answer.redirected) return location.assign(answer.url);
    const page = new DOMParser().parseFromString(markup(await answer.text()), "text/html");
    const now = page.querySelector("[data-poll]");
    if (!now) return location.reload();
    if (now.textContent !== part.textContent) part.replaceChildren(...now.childNodes);
  }
}

// What must not be done twice: a second click while the first is on its way is none.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-once]");
  if (form?.dataset.once === "sent") event.preventDefault();
  else if (form) form.dataset.once = "sent";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once]")) form.dataset.once = "";
});

// Menus: close with Escape and by a click beside them, and move with the arrows.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.menu[open]");
  if (menu) {
    const entries = [...menu.querySelectorAll("li :is(a, button):not(:disabled)")];
    const at = entries.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? entries.length - 1 : at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (to !== undefined && entries.length > 0) {
      event.preventDefault();
      entries[(to + entries.length) % entries.length].focus();
    }
    return;
  }
  if (event.key === "/" && !event.target.closest?.("input, textarea, select")) {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

tellTimes(document);
for (const field of document.querySelectorAll("[data-zones]")) offerZones(field);
for (const form of document.querySelectorAll("form[data-selection]")) selection(form);
for (const form of document.querySelectorAll("form[data-picked]")) picking(form);
for (const part of document.querySelectorAll("[data-live]")) live(part);
for (const part of document.querySelectorAll("[data-poll]")) poll(part);
