// Calls to our own REST doors: CSRF, JSON, a deadline, and errors a person can read.

const WORDS = {
  0: "No connection to the server. Nothing was lost here; try again when you are online.",
  401: "You are signed out. Sign in and try again.",
  403: "You may not do this with your account.",
  404: "This is no longer here.",
  408: "The server took too long to answer. Try again.",
  409: "This changed in the meantime. Reload to see the current state.",
  413: "This is too large to send.",
  429: "Too many requests. Wait a moment and try again.",
  503: "The server is busy. Try again in a moment.",
};

/** A refused or failed call. `message` is for people; `status` 0 means no answer came. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "error", fields = {}, retryAfter = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.retryAfter = retryAfter;
  }

  get isTransient() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** A new random UUID; also where `crypto.randomUUID` is missing (plain HTTP on a local network). */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function csrfToken() {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return cookie?.[1] ?? document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/**
 * Send one request and return the parsed body (null for 204).
 *
 * `keepalive` lets it outlive the page. `key` becomes the Idempotency-Key header: make it once with `newId()` and reuse it on a retry.
 * Raises ApiError for a refusal, a broken network or a missed deadline; an abort through `signal`
 * raises the usual AbortError.
 */
export async function request(method, url, { body, key, signal, keepalive, timeout = 30_000 } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (key) headers["Idempotency-Key"] = key;
  const deadline = AbortSignal.timeout(timeout);
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      keepalive,
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(WORDS[deadline.aborted ? 408 : 0], { status: deadline.aborted ? 408 : 0 });
  }
  const data = await parse(response);
  if (response.ok) return data;
  throw new ApiError(wordsFor(response.status, data), {
    status: response.status,
    code: data?.code,
    fields: data?.fields,
    retryAfter: Number(response.headers.get("Retry-After")) || null,
  });
}

export const api = {
  get: (url, options) => request("GET", url, options),
  post: (url, body, options) => request("POST", url, { ...options, body }),
  put: (url, body, options) => request("PUT", url, { ...options, body }),
  patch: (url, body, options) => request("PATCH", url, { ...options, body }),
  delete: (url, options) => request("DELETE", url, options),
};

async function parse(response) {
  if (response.status === 204) return null;
  if (!response.headers.get("Content-Type")?.includes("json")) return null;
  return response.json().catch(() => null);
}

function wordsFor(status, data) {
  if (typeof data?.detail === "string" && data.detail) return data.detail;
  return WORDS[status] ?? `The server could not do this (${status}). Try again.`;
}
