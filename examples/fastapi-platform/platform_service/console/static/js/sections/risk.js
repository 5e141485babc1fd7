// What the policy allows, and what someone has spent of it today.

import { micros } from "../amounts.js";
import { get } from "../api.js";
import { h } from "../dom.js";
import { t, word } from "../language.js";
import { card, choice, facts, field, form, heading, ownerField, region, tiles } from "../ui.js";
import { bar } from "./account.js";

// In this order the fields are shown; those that are new come last.
const ORDER = [
  "daily_cap", "verified_daily_cap", "daily_count_cap", "single_cap", "velocity", "anomaly_threshold",
  "anomaly_cooldown_seconds", "deny_list", "allow_list", "estimates_per_minute", "checks_per_minute", "charges_per_minute",
  "unit", "zone", "payer", "consumption_order", "licence_required", "templates", "quote_validity_seconds",
  "estimates_are_quotes", "refund_window_days", "refund_operators", "expired_refund", "grace_days", "answer_retention_days",
];
// Of these, nothing said means anyone and anything.
const OPEN = ["templates", "refund_operators"];

const written = { app_id: "" };

export default function risk(root, known) {
  const settings = region();
  const today = region();
  let policy = null;
  const look = ({ owner, app_id: app = "" }) => {
    known.owner = owner;
    written.app_id = app;
    today.load(() => get("spent", { spender: owner, app_id: app }), (spent) => used(spent, controlsFor(policy, app)));
  };
  settings.load(() => get("policy"), (found) => {
    policy = found;
    const apps = Object.keys(policy.risk?.apps ?? {});
    const asked = form(look, [
      ownerField(t("risk.spender"), known.names, known.owner),
      apps.length > 0 && field(t("risk.app"), choice("app_id", apps, { any: t("none"), chosen: written.app_id })),
    ].filter(Boolean), { button: t("show") });
    look({ owner: known.owner, ...written });
    return [card(h("h2", {}, t("risk.today")), asked, today.element), ...limits(policy)];
  });
  root.append(heading("risk"), settings.element);
}

function controlsFor(policy, app) {
  return policy.risk?.apps?.[app] ?? policy.risk?.default ?? {};
}

function used(spent, controls) {
  const cap = controls.daily_cap;
  const most = controls.daily_count_cap;
  const of = (limit) => (limit == null ? null : h("small", {}, ` ${t("risk.of", { cap: limit })}`));
  return tiles(
    [t("risk.today"), [spent.used, of(cap), cap != null && bar(micros(spent.used), micros(String(cap)))], { class: "large" }],
    [t("risk.count"), [spent.count, of(most), most != null && bar(BigInt(spent.count), BigInt(most))], { class: "large" }],
  );
}

function limits(policy) {
  const { default: common, apps = {}, requests = {} } = policy.risk ?? {};
  const others = Object.entries(policy).filter(([name]) => name !== "risk");
  return [
    h("div", { class: "columns" },
      card(h("h2", {}, t("risk.controls")), common ? facts(lines(Object.entries(common))) : h("p", { class: "muted" }, t("risk.noControls"))),
      card(h("h2", {}, t("risk.requests")), facts(lines(Object.entries(requests))))),
    ...Object.entries(apps).map(([app, controls]) =>
      card(h("h2", {}, t("risk.controlsOf", { app })), facts(lines(Object.entries(controls))))),
    card(h("h2", {}, t("risk.policy")), facts(lines(others))),
  ];
}

function lines(entries) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const sorted = entries.toSorted(([one], [other]) => place(one) - place(other));
  return sorted.map(([name, value]) => [word("policy", name), shown(name, value)]);
}

function shown(name, value) {
  if (value === null) return h("span", { class: "muted" }, t(OPEN.includes(name) ? "any" : "unlimited"));
  if (Array.isArray(value) && value.length === 0) return h("span", { class: "muted" }, t("none"));
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (name === "velocity") return value.map(velocity).join("; ");
  if (name === "consumption_order") return value.map((type) => word("type", type)).join(" → ");
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function velocity({ max_units: units, max_count: count, window_seconds: seconds }) {
  return units == null ? t("policy.velocityCount", { most: count, seconds }) : t("policy.velocityUnits", { most: units, seconds });
}
