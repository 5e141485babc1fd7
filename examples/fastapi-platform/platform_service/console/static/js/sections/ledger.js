// Entries with filters, a page at a time, and the balance over time as a line.

import { signed, tone } from "../amounts.js";
import { get } from "../api.js";
import { balanceChart } from "../chart.js";
import { fill, h } from "../dom.js";
import { t, word } from "../language.js";
import { card, choice, field, form, heading, id, ownerField, pill, problem, region, table, text, when } from "../ui.js";

const KINDS = [
  "grant", "hold", "extend", "capture", "release", "charge", "refund",
  "reissue", "expire", "void", "amend", "rollover", "adjust", "import",
];
const PAGE = 25;
const DRAWN = 500;
const written = { kind: "", task_id: "", from_: "", to: "" };

export default function ledger(root, known) {
  const drawn = region();
  const listed = region();
  const look = (asked) => {
    known.owner = asked.owner;
    Object.assign(written, asked);
    const filters = { ...asked, from_: instant(asked.from_), to: instant(asked.to), limit: PAGE };
    const { owner, from_, to } = filters;
    drawn.load(() => get("history", { owner, from_, to, limit: DRAWN }), ({ points, is_cut: isCut }) => [
      points.length ? balanceChart(points, known.names.price_books.at(-1)?.unit ?? "") : h("p", { class: "state" }, t("chart.empty")),
      isCut && h("p", { class: "muted" }, t("chart.cut", { count: points.length })),
    ].filter(Boolean));
    listed.load(() => get("ledger", filters), (page) => entries(page, filters));
  };
  const asked = form(look, [
    ownerField(t("account.owner"), known.names, known.owner),
    field(t("ledger.kind"), choice("kind", KINDS, { any: t("any"), chosen: written.kind, label: (kind) => word("kind", kind) })),
    field(t("ledger.task"), text("task_id", { value: written.task_id })),
    field(t("ledger.from"), moment("from_")),
    field(t("ledger.to"), moment("to")),
  ], { button: t("show") });
  root.append(heading("ledger"), card(asked), card(drawn.element), card(listed.element));
  look({ owner: known.owner, ...written });
}

function entries(page, filters) {
  if (page.entries.length === 0) return h("p", { class: "state" }, t("ledger.empty"));
  const rows = [];
  const shown = h("div", { class: "stack" });
  const show = (more) => {
    rows.push(...more.entries);
    const next = more.next_cursor;
    const further = next
      ? h("button", { type: "button", onclick: async (event) => {
          event.target.disabled = true;
          try {
            show(await get("ledger", { ...filters, cursor: next }));
          } catch (failure) {
            further.replaceWith(problem(failure));
          }
        } }, t("more"))
      : h("p", { class: "muted" }, t("ledger.all"));
    fill(shown, listing(rows), h("div", { class: "buttons" }, further, h("span", { class: "muted" }, t("ledger.count", { count: rows.length }))));
  };
  show(page);
  return shown;
}

function listing(rows) {
  return table([
    { heading: t("ledger.time"), show: (entry) => when(entry.created_at) },
    { heading: t("ledger.kind"), show: (entry) => pill(word("kind", entry.kind)) },
    { heading: t("ledger.change"), number: true, show: (entry) => h("span", { class: tone(entry.change) }, signed(entry.change)) },
    { heading: t("ledger.frozenChange"), number: true, show: (entry) => h("span", { class: "muted" }, signed(entry.frozen_change)) },
    { heading: t("ledger.balance"), number: true, show: (entry) => entry.balance_after },
    { heading: t("ledger.task"), show: (entry) => entry.task_id && id(entry.task_id) },
    { heading: t("ledger.reason"), show: (entry) => entry.reason },
    { heading: t("ledger.tag"), show: (entry) => entry.policy_tag },
  ], rows, { caption: t("ledger.entries") });
}

function moment(name) {
  return h("input", { type: "datetime-local", step: 1, name, value: written[name] });
}

/** What is written into a field for a time means UTC, as all times here. */
function instant(local) {
  if (!local) return "";
  return `${local}${local.length === 16 ? ":00" : ""}Z`;
}
