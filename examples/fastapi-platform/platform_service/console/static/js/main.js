// The page: who is logged in, which section is shown, in which language.

import { get, post } from "./api.js";
import { fill, h } from "./dom.js";
import { speak, t, translatePage } from "./language.js";
import account from "./sections/account.js";
import book from "./sections/book.js";
import events from "./sections/events.js";
import ledger from "./sections/ledger.js";
import licences from "./sections/licences.js";
import prices from "./sections/prices.js";
import risk from "./sections/risk.js";
import verify from "./sections/verify.js";
import { field, pill, problem, text } from "./ui.js";

const SECTIONS = { account, ledger, events, licences, risk, prices, book, verify };
const HEALTH_EVERY = 30_000;

const main = document.getElementById("main");
const nav = document.getElementById("sections");

// What the sections know together: the names that forms offer, and the owner that is looked at.
const known = { names: null, owner: "" };
let session = null;
let leave = () => {};

function show() {
  leave();
  leave = () => {};
  translatePage();
  for (const part of [nav, document.getElementById("who"), document.getElementById("logout")]) part.hidden = !session;
  if (!session) {
    document.getElementById("health").hidden = true;
    fill(main, loginForm());
    main.querySelector("input").focus();
    return;
  }
  const name = current();
  document.getElementById("who").textContent = `${session.name} · ${session.tenant_id}`;
  fill(nav, h("ul", {}, Object.keys(SECTIONS).map((section) =>
    h("li", {}, h("a", { href: `#${section}`, "aria-current": section === name && "page" }, t(`${section}.title`))))));
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  fill(main);
  leave = SECTIONS[name](main, known) ?? leave;
  main.append(h("p", { class: "muted" }, t("utc")));
}

function current() {
  const wanted = location.hash.slice(1);
  return Object.hasOwn(SECTIONS, wanted) ? wanted : "account";
}

function loginForm() {
  const token = text("token", { type: "password", autocomplete: "current-password", required: true });
  const button = h("button", { type: "submit", class: "main" }, t("login.enter"));
  const said = h("div");
  const form = h("form", {}, field(t("login.token"), token), button, said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      session = await post("login", { token: token.value });
      await enter();
    } catch (failure) {
      fill(said, failure.status === 401 ? h("p", { class: "state error", role: "alert" }, t("login.refused")) : problem(failure));
      token.select();
    } finally {
      button.disabled = false;
    }
  });
  return h("section", { class: "card login" },
    h("div", {}, h("h1", {}, t("login.title")), h("p", { class: "lead" }, t("login.lead"))), form);
}

async function enter() {
  known.names = await get("names");
  known.owner ||= known.names.owners.find((owner) => owner.startsWith("user:")) ?? known.names.owners[0] ?? "pool";
  show();
  await tellHealth();
}

async function tellHealth() {
  if (!session) return;
  const element = document.getElementById("health");
  try {
    const { status, reasons } = await get("health");
    element.className = pill("", { ok: "good", degraded: "warn" }[status] ?? "bad").className;
    element.textContent = t(`health.${status}`);
    element.title = [t("health"), ...reasons].join(" · ");
    element.hidden = false;
  } catch {
    element.hidden = true;
  }
}

function forget() {
  session = null;
  show();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", async () => {
    speak(button.dataset.language);
    show();
    await tellHealth();
  });
}
document.getElementById("logout").addEventListener("click", async () => {
  await post("logout").catch(() => {});
  forget();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // it is no section
  main.focus();
});
addEventListener("console-login", () => session && forget());
addEventListener("hashchange", () => {
  if (!session) return;
  show();
  main.focus();
});
// A page that the browser keeps for going back holds no stream open: a host gets six connections.
addEventListener("pagehide", () => {
  leave();
  leave = () => {};
});
addEventListener("pageshow", (event) => event.persisted && show());
setInterval(tellHealth, HEALTH_EVERY);

translatePage();
try {
  session = await get("session");
  if (session) await enter();
  else show();
} catch (failure) {
  fill(main, problem(failure, () => location.reload()));
}
