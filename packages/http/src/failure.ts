/** Failures that may pass, and how long to wait before the next try. */

import type { Clock, Entropy } from "@coblock/core";
import type { IncomingHttpHeaders } from "node:http";

/** The connection or the server gave way; asking again may help. */
export class PassingFailure extends Error {
  /** Milliseconds after which the server wants to be asked again. */
  readonly retryAfterMs: number | undefined;
  /** No server was there at all. */
  readonly unreachable: boolean;

  constructor(
    message: string,
    details: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined; readonly unreachable?: boolean } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.retryAfterMs = details.retryAfterMs;
    this.unreachable = details.unreachable ?? false;
  }
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** A server that wants to be left alone for longer is not waited for. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Doubles with each try, and varies so that many readers do not come back together. `undefined`: too long to wait. */
export function pauseBefore(retry: number, failure: PassingFailure, entropy: Entropy): number | undefined {
  const askedMs = failure.retryAfterMs ?? 0;
  if (askedMs > LONGEST_RETRY_AFTER_MS) return undefined;
  const [chance = 0] = entropy.bytes(1);
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (retry - 1)) * (0.5 + chance / 512);
  return Math.max(pauseMs, askedMs);
}

/** `Retry-After`: seconds, or a date. RFC 9110, section 10.2.3. */
export function retryAfterMs(headers: IncomingHttpHeaders, clock: Clock): number | undefined {
  const field = headers["retry-after"]?.trim();
  if (field === undefined) return undefined;
  if (/^\d+$/.test(field)) return Number(field) * 1000;
  const date = Date.parse(field);
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.wallTime());
}

/** Answers of servers that are overloaded, restarted, or behind something that is. */
export function isPassingStatus(status: number): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(status);
}

const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"];
const BROKEN = ["ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN"];

/** What an error of a socket means; `undefined` where asking again cannot help (no HTTP, headers too large, a certificate). */
export function passingFailureOf(error: unknown): PassingFailure | undefined {
  if (error instanceof PassingFailure) return error;
  const code = codeOf(error);
  if (code === undefined || (!UNREACHABLE.includes(code) && !BROKEN.includes(code))) return undefined;
  const unreachable = UNREACHABLE.includes(code);
  return new PassingFailure(unreachable ? `the server cannot be reached (${code})` : `the connection broke (${code})`, {
    cause: error,
    unreachable,
  });
}

/** Several addresses of one name fail together. */
function codeOf(error: unknown): string | undefined {
  const [first] = error instanceof AggregateError ? (error.errors as readonly unknown[]) : [error];
  return typeof first === "object" && first !== null && "code" in first && typeof first.code === "string" ? first.code : undefined;
}
