// What happens, as it happens: Server-Sent Events that go on after the last one that came.

import { signed, tone } from "../amounts.js";
import { get } from "../api.js";
import { fill, h } from "../dom.js";
import { t, word } from "../language.js";
import { card, heading, id, pill, when } from "../ui.js";

const KEPT = 200;
const AGAIN_AFTER = 2_000;

const TONES = {
  "task.completed": "good",
  "task.failed": "bad",
  "compliance.alert": "bad",
  "balance.low": "warn",
  "balance.recovered": "good",
  "credits.updated": "accent",
};

// What came stays when the section is left for a while; the cursor says where to go on.
let came = [];
let cursor = "";

export default function events(root) {
  const state = h("span", { role: "status" });
  const list = h("ul", { class: "events" });
  const log = h("div", { role: "log", "aria-label": t("events.title") }, list);
  const empty = h("p", { class: "state" }, t("events.empty"));
  const pause = h("button", { type: "button" });
  let source = null;
  let waiting = 0;
  let isPaused = false;
  let isGone = false;
  let refused = 0;

  const tell = (key, color) => {
    fill(state, pill(t(key), color));
    pause.textContent = t(isPaused ? "events.resume" : "events.pause");
  };
  const display = () => {
    fill(list, came.map(item));
    empty.hidden = came.length > 0;
  };
  const close = () => {
    clearTimeout(waiting);
    source?.close();
    source = null;
  };
  const connect = (fields) => {
    close();
    tell("events.connecting");
    source = new EventSource(`api/events?${new URLSearchParams(fields)}`);
    source.addEventListener("open", () => {
      refused = 0;
      tell("events.live", "good");
    });
    source.addEventListener("heartbeat", (message) => (cursor = message.lastEventId));
    source.addEventListener("event", (message) => {
      cursor = message.lastEventId;
      const event = JSON.parse(message.data);
      came = [event, ...came].slice(0, KEPT);
      list.prepend(item(event));
      while (list.childElementCount > KEPT) list.lastElementChild.remove();
      empty.hidden = true;
    });
    source.addEventListener("error", () => {
      tell("events.again", "warn");
      // The browser connects again by itself, after the last that came, unless it was refused.
      if (source.readyState === EventSource.CLOSED) waiting = setTimeout(tryAgain, AGAIN_AFTER);
    });
  };
  const goOn = () => connect(cursor ? { after: cursor } : {});
  const tryAgain = async () => {
    try {
      if (!(await get("session"))) dispatchEvent(new Event("console-login"));
      // A cursor that is refused twice is older than events are kept.
      else if (++refused > 1) cursor = "";
    } catch {
      // The service cannot be reached: it is tried again as it was.
    }
    if (!isGone && !isPaused) goOn();
  };

  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    if (isPaused) {
      close();
      tell("events.paused", "warn");
    } else goOn();
  });
  const forget = () => {
    came = [];
    display();
  };
  const oldest = h("button", { type: "button", onclick: () => {
    isPaused = false;
    forget();
    connect({ oldest: "true" });
  } }, t("events.oldest"));
  const clear = h("button", { type: "button", onclick: forget }, t("events.clear"));

  root.append(heading("events"), h("div", { class: "buttons" }, state, pause, oldest, clear), card(empty, log));
  display();
  goOn();
  return () => {
    isGone = true;
    close();
  };
}

function item(event) {
  const line = h("summary", {},
    when(event.ts),
    pill(word("event", event.kind), TONES[event.kind] ?? ""),
    h("span", { class: "grow" }, event.owner ?? "", " ", event.task_id && id(event.task_id), " ", what(event)));
  return h("li", {}, h("details", {}, line, h("pre", {}, JSON.stringify(event, null, 2))));
}

function what({ credits, task, balance, alert }) {
  if (credits) return h("span", {}, h("strong", { class: tone(credits.change) }, signed(credits.change)), ` → ${credits.balance_after}`);
  if (task) return h("span", {}, [task.stage, task.progress !== null && `${task.progress}\u00a0%`].filter(Boolean).join(" · "));
  if (balance) return h("span", {}, balance.balance_after);
  if (alert) return h("span", {}, `${alert.rule} · ${alert.operation}`);
  return null;
}
