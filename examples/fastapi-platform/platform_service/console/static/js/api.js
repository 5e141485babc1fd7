// The console's own API. Who is logged in is said by a cookie that no script can read.

import { t } from "./language.js";

/** A refusal or failure, with what the service says of it. */
export class Refused extends Error {
  constructor(status, said) {
    super(said.message ?? said.error ?? String(status));
    this.status = status;
    this.said = said;
  }
}

/** Asks for something; fields that are empty are left out. */
export function get(path, fields = {}) {
  const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== "" && value != null));
  return send(`api/${path}${query.size ? `?${query}` : ""}`, { method: "GET" });
}

/** Sends something as JSON. */
export function post(path, content = {}) {
  const headers = { "Content-Type": "application/json" };
  return send(`api/${path}`, { method: "POST", headers, body: JSON.stringify(content) });
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin" });
  } catch {
    throw new Refused(0, { message: t("error.unreachable") });
  }
  const content = response.status === 204 ? null : await response.json().catch(() => ({}));
  if (response.ok) return content;
  if (response.status === 401 && path !== "api/login") dispatchEvent(new Event("console-login"));
  throw new Refused(response.status, content ?? {});
}
