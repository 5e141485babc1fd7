// Recomputes the books, and shows where they part from the ledger.

import { post } from "../api.js";
import { h } from "../dom.js";
import { t, word } from "../language.js";
import { card, heading, id, pill, region, table, tiles, when } from "../ui.js";

let last = null;

export default function verify(root) {
  const found = region();
  const button = h("button", { type: "button", class: "main", onclick: async () => {
    button.disabled = true;
    await found.load(() => post("verify"), (answer) => {
      last = answer;
      return show(answer);
    }, t("verify.working"));
    button.disabled = false;
  } }, t("verify.start"));
  root.append(heading("verify"), h("div", { class: "buttons" }, button), found.element);
  if (last) found.load(async () => last, show);
}

function show({ report, seconds, at }) {
  const { faults, faults_elsewhere: elsewhere } = report;
  return [
    faults.length > 0 && h("p", { class: "state error", role: "alert" }, t("verify.bad", { count: faults.length })),
    elsewhere > 0 && h("p", { class: "state error", role: "alert" }, t("verify.elsewhere", { count: elsewhere })),
    faults.length + elsewhere === 0 && h("p", { class: "state good" }, t("verify.good")),
    tiles(
      [t("verify.accounts"), report.accounts],
      [t("verify.entries"), report.entries],
      [t("verify.tasks"), report.tasks],
      [t("verify.audit"), report.audit_records],
      [t("verify.uncovered"), report.uncovered_entries],
      [t("verify.seconds"), seconds],
    ),
    faults.length > 0 && card(table([
      { heading: t("verify.kind"), show: (fault) => pill(word("fault", fault.kind), "bad") },
      { heading: t("ledger.account"), show: (fault) => fault.account && `${fault.account.tenant_id} · ${fault.account.owner} · ${fault.account.unit}` },
      { heading: t("verify.place"), show: (fault) => [fault.seq != null && `#${fault.seq} `, id(fault.ledger_id)].filter(Boolean) },
      { heading: t("verify.message"), show: (fault) => fault.message },
    ], faults)),
    h("p", { class: "muted" }, t("verify.at", { at: when(at).textContent })),
  ].filter(Boolean);
}
