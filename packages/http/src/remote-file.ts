/** A file on a web server: ranges of it, all of one state of the file, through failures that pass. */

import { BlockError, type Clock, CoSleep, type Entropy } from "@coblock/core";
import { parseContentRange } from "./content-range.ts";
import { Connections, Exchange, LEAST_PROGRESS } from "./exchange.ts";
import { isPassingStatus, PassingFailure, passingFailureOf, pauseBefore, retryAfterMs } from "./failure.ts";
import { changeOf, conditionsOf, type FileVersion, versionOf } from "./file-version.ts";
import { RangeTarget } from "./range-target.ts";
import { RequestSlots } from "./request-slots.ts";
import type { HttpSettings } from "./settings.ts";

/** What a file takes of the image's surroundings. */
export interface RemoteFileContext {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly nodeName: string;
  /** No more reads, cached ones neither. */
  fail(error: BlockError): void;
}

/** Bytes that opening asks for: the head of most formats. */
const HEAD_LENGTH = 4096;
const MAX_REDIRECTS = 10;
const REDIRECTS = [301, 302, 303, 307, 308];
/** A place that was redirected to may have been good for a while only. */
const STALE = [401, 403, 404, 410];

export class RemoteFile {
  readonly #settings: HttpSettings;
  readonly #context: RemoteFileContext;
  readonly #connections: Connections;
  readonly #slots: RequestSlots;
  #version: FileVersion | undefined;
  /** Where redirects led to. */
  #location: URL;
  #requests = 0;
  #retries = 0;
  #received = 0;

  constructor(settings: HttpSettings, context: RemoteFileContext) {
    this.#settings = settings;
    this.#context = context;
    this.#connections = new Connections(settings);
    this.#slots = new RequestSlots(settings.connections);
    this.#location = settings.url;
  }

  /** Learns the size and the state of the file; answers its first bytes. Throws as `read` does. */
  async open(signal: AbortSignal | undefined): Promise<Uint8Array> {
    const head = new RangeTarget(0, new Uint8Array(HEAD_LENGTH));
    await this.#fill(head, signal);
    return head.bytes;
  }

  /** Bytes. */
  get size(): number {
    return this.#version?.size ?? 0;
  }

  /**
   * Fills all of `into` or throws: IO, NOT_FOUND, NOT_ALLOWED, UNSUPPORTED_FEATURE for servers without ranges, or the signal's reason;
   * `into` is then no longer touched. Waits for its turn where all connections are busy.
   */
  async read(offset: number, into: () => Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    using _slot = await this.#slots.take({ signal });
    await this.#fill(new RangeTarget(offset, into()), signal);
  }

  /** Counters since it was opened; bytes are those of bodies. */
  inspect(): object {
    const { etag, lastModified } = this.#version ?? {};
    const counts = { requests: this.#requests, retries: this.#retries, received: this.#received };
    return { url: this.#settings.shownUrl, etag, lastModified, ...counts, inFlight: this.#slots.taken };
  }

  /** Cuts what is under way. */
  close(): void {
    this.#connections.close();
  }

  /** Asks until the target is full; what has arrived is kept, since it is of the same state of the file. */
  async #fill(target: RangeTarget, signal: AbortSignal | undefined): Promise<void> {
    for (let failures = 0; !target.full;) {
      const before = target.filled;
      try {
        await this.#ask(target, signal);
        if (target.full || target.filled - before >= LEAST_PROGRESS) continue;
        throw new PassingFailure(`the server answered ${target.filled - before} bytes of a range of ${target.left}`);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = passingFailureOf(error);
        if (failure === undefined) throw this.#asBlockError(error, target);
        failures++;
        await this.#pause(failures, failure, target, signal);
      }
    }
  }

  async #pause(failures: number, failure: PassingFailure, target: RangeTarget, signal: AbortSignal | undefined): Promise<void> {
    const opening = this.#version === undefined;
    const { clock, entropy } = this.#context;
    const pauseMs =
      failures > this.#settings.retries || (opening && failure.unreachable) ? undefined : pauseBefore(failures, failure, entropy);
    if (pauseMs === undefined) throw this.#asBlockError(failure, target, failures);
    this.#retries++;
    await new CoSleep().sleep(clock, pauseMs, { signal });
  }

  /** One request, and those that redirects make of it. */
  async #ask(target: RangeTarget, signal: AbortSignal | undefined): Promise<void> {
    const { url } = this.#settings;
    const start = this.#location;
    const end = await this.#follow(start, target, signal);
    if (end !== undefined) return;
    if (start !== url && (await this.#follow(url, target, signal)) !== undefined) return;
    throw this.#error("IO", "the place that the server redirected to is gone");
  }

  async #follow(from: URL, target: RangeTarget, signal: AbortSignal | undefined): Promise<URL | undefined> {
    let url = from;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      using exchange = await this.#exchange(url, target, signal);
      if (!REDIRECTS.includes(exchange.status)) {
        if (from !== this.#settings.url && STALE.includes(exchange.status)) return undefined;
        await this.#take(exchange, target);
        this.#location = url;
        return url;
      }
      url = this.#redirected(url, exchange.headers.location);
    }
    throw this.#error("IO", `the server redirects more than ${MAX_REDIRECTS} times`);
  }

  #redirected(from: URL, location: string | undefined): URL {
    const to = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    if (to === undefined) throw this.#error("IO", "the server redirects to no URL");
    if (to.protocol !== "http:" && to.protocol !== "https:") throw this.#error("NOT_ALLOWED", `the server redirects to '${to.protocol}'`);
    if (from.protocol === "https:" && to.protocol === "http:") throw this.#error("NOT_ALLOWED", "the server redirects from https to http");
    if (to.username !== "" || to.password !== "") throw this.#error("NOT_ALLOWED", "the server redirects to a URL with credentials in it");
    to.hash = "";
    return to;
  }

  #exchange(url: URL, target: RangeTarget, signal: AbortSignal | undefined): Promise<Exchange> {
    const { ownHeaders, timeoutMs, url: own } = this.#settings;
    const headers = {
      ...(url.origin === own.origin ? ownHeaders : {}),
      ...(this.#version === undefined ? {} : conditionsOf(this.#version)),
      range: `bytes=${target.offset + target.filled}-${target.offset + target.length - 1}`,
      "accept-encoding": "identity",
    };
    this.#requests++;
    return Exchange.start({ connections: this.#connections, url, headers, clock: this.#context.clock, timeoutMs, signal });
  }

  /** Checks that the answer is what was asked for, of the same state as all before, and takes its bytes. */
  async #take(exchange: Exchange, target: RangeTarget): Promise<void> {
    const { status, headers } = exchange;
    const encoding = headers["content-encoding"];
    if (status === 206 && encoding !== undefined && encoding.toLowerCase() !== "identity")
      throw this.#error("IO", `the server answered with content-encoding '${encoding.slice(0, 80)}', which was not asked for`);
    const range = parseContentRange(headers["content-range"]);
    if (status === 416 && this.#version === undefined && range?.total === 0) return this.#learnEmpty(versionOf(0, headers), target);
    if (status === 200 && this.#version === undefined && headers["content-length"] === "0")
      return this.#learnEmpty(versionOf(0, headers), target);
    if (status !== 206) throw this.#unexpected(exchange, range?.total);
    const { bytes, total } = range ?? {};
    if (bytes === undefined)
      throw this.#error("IO", `the server answered with no valid Content-Range: '${String(headers["content-range"]).slice(0, 80)}'`);
    if (total === undefined) throw this.#error("UNSUPPORTED_FEATURE", "the server does not tell the size of the file");
    this.#compare(versionOf(total, headers));
    target.cut(total);
    const offset = target.offset + target.filled;
    if (bytes.offset !== offset || bytes.length > target.left)
      throw this.#error(
        "IO",
        `the server answered with bytes ${shownRange(bytes)} where ${shownRange({ offset, length: target.left })} were asked for`,
      );
    await this.#receive(exchange, target, bytes.length);
  }

  async #receive(exchange: Exchange, target: RangeTarget, length: number): Promise<void> {
    const declared = exchange.headers["content-length"];
    if (declared !== undefined && declared !== String(length))
      throw this.#error("IO", `the server answered with ${declared} bytes for a range of ${length}`);
    let left = length;
    await exchange.body((chunk) => {
      left -= chunk.length;
      if (left < 0) throw this.#error("IO", `the server sent more than the ${length} bytes of a range`);
      this.#received += chunk.length;
      target.accept(chunk);
    });
    if (left > 0) throw new PassingFailure(`the answer ended ${left} bytes early`);
  }

  #learnEmpty(version: FileVersion, target: RangeTarget): void {
    this.#version = version;
    target.cut(0);
  }

  #compare(found: FileVersion): void {
    this.#version ??= found;
    const change = changeOf(this.#version, found);
    if (change !== undefined) throw this.#changed(change);
  }

  #unexpected({ status, headers }: Exchange, total: number | undefined): Error {
    if (isPassingStatus(status))
      return new PassingFailure(`the server answered ${status}`, { retryAfterMs: retryAfterMs(headers, this.#context.clock) });
    if (status === 412 && this.#version !== undefined) return this.#changed("the server says that it has another version (412)");
    if (status === 416 && this.#version !== undefined)
      return total === this.#version.size
        ? this.#error("IO", "the server cannot serve a range that lies within the file (416)")
        : this.#changed(`its size was ${this.#version.size} bytes and is ${total ?? "unknown"}`);
    if (status === 200) {
      const change = this.#version && changeOf(this.#version, { ...versionOf(this.#version.size, headers) });
      if (change !== undefined) return this.#changed(change);
      return this.#error(
        "UNSUPPORTED_FEATURE",
        "the server sends whole files only (it answered 200 to a request for a range); download the file first",
      );
    }
    if (status === 404 || status === 410) return this.#error("NOT_FOUND", `the server has no such file (${status})`);
    if (status === 401 || status === 403) return this.#error("NOT_ALLOWED", `the server does not let us read the file (${status})`);
    return this.#error("IO", `the server answered ${status} to a request for a range`);
  }

  /** Reads that are under way, and all later ones, must not mix the two. */
  #changed(how: string): BlockError {
    const error = this.#error("IO", `the file changed on the server while it was open: ${how}`);
    this.#context.fail(error);
    return error;
  }

  #asBlockError(error: unknown, target: RangeTarget, tries?: number): BlockError {
    if (error instanceof BlockError) return error;
    const message = error instanceof Error ? error.message : String(error);
    const times = tries === undefined || tries === 1 ? "" : ` (${tries} times)`;
    return this.#error("IO", `${message}${times}`, { cause: error, offset: target.offset + target.filled });
  }

  #error(
    code: ConstructorParameters<typeof BlockError>[0],
    what: string,
    details: { readonly cause?: unknown; readonly offset?: number } = {},
  ): BlockError {
    return new BlockError(code, `${this.#settings.shownUrl}: ${what}`, { node: this.#context.nodeName, ...details });
  }
}

function shownRange({ offset, length }: { readonly offset: number; readonly length: number }): string {
  return `${offset}-${offset + length - 1}`;
}
