/** One request and its answer on one connection, within its time. */

import type { Clock } from "@coblock/core";
import { Agent as HttpAgent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Duplex } from "node:stream";
import { connect as tlsConnect, type ConnectionOptions } from "node:tls";
import { PassingFailure } from "./failure.ts";
import type { HttpSettings } from "./settings.ts";

/** At least so many bytes must arrive within the timeout: a server that trickles does not hold a reader for ever. */
export const LEAST_PROGRESS = 4096;

export interface ExchangeParts {
  readonly connections: Connections;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Connections that are kept for the next request, and closed together. */
export class Connections {
  readonly #plain: HttpAgent;
  readonly #secure: HttpsAgent;

  /** `connections` at one time; `connect` makes each of them. */
  constructor({ connections, verifyTls, connect }: Pick<HttpSettings, "connections" | "verifyTls" | "connect">) {
    const options = { keepAlive: true, maxSockets: connections, maxFreeSockets: connections };
    this.#plain = new HttpAgent(options);
    this.#secure = new HttpsAgent({ ...options, rejectUnauthorized: verifyTls });
    if (connect === undefined) return;
    connectBy(this.#plain, connect);
    connectBy(this.#secure, async (own) => tlsConnect({ ...own, socket: await connect() }));
  }

  /** A GET, sent. */
  request(url: URL, headers: Readonly<Record<string, string>>): ClientRequest {
    const sent =
      url.protocol === "https:" ? httpsRequest(url, { agent: this.#secure, headers }) : httpRequest(url, { agent: this.#plain, headers });
    return sent.end();
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** Streams that are no sockets have no settings for the time that they wait. */
function connectBy(agent: HttpAgent, connect: (options: ConnectionOptions) => Promise<Duplex>): void {
  agent.createConnection = (options, done) => {
    connect(options as ConnectionOptions).then(
      (stream) => done?.(null, stream),
      (error: unknown) => done?.(error as Error, new Duplex()),
    );
    return undefined;
  };
  agent.keepSocketAlive = () => true;
  agent.reuseSocket = () => {};
}

/** From the head of an answer on; disposing cuts the connection unless the answer has come to its end. */
export class Exchange implements Disposable {
  readonly #request: ClientRequest;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #abort: () => void;
  readonly #failed: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  #response: IncomingMessage | undefined;
  #timer: Disposable | undefined;
  /** When the server was last found to go on, by the clock. */
  #progressMs = 0;
  #ended = false;

  /** Answers when the head of the answer has come. Rejects with `PassingFailure`, the error of the socket, or the signal's reason. */
  static async start(parts: ExchangeParts): Promise<Exchange> {
    parts.signal?.throwIfAborted();
    const exchange = new Exchange(parts);
    try {
      await exchange.#head();
      return exchange;
    } catch (error) {
      exchange[Symbol.dispose]();
      throw error;
    }
  }

  private constructor({ connections, url, headers, clock, timeoutMs, signal }: ExchangeParts) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#failed = new Promise<never>((_, reject) => (this.#fail = reject));
    // Whoever waits hears of it; after the end nobody does.
    this.#failed.catch(() => {});
    this.#abort = () => this.#fail(signal?.reason);
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#request = connections.request(url, headers);
    this.#request.on("error", (error) => this.#fail(error));
    this.#progressMs = clock.now();
    this.#watch();
  }

  get status(): number {
    return this.#response?.statusCode ?? 0;
  }

  get headers(): IncomingHttpHeaders {
    return this.#response?.headers ?? {};
  }

  /** Hands the body out piece by piece; after a failure, or once disposed, no more. Rejects as `start`; also with what `accept` throws. */
  async body(accept: (chunk: Uint8Array) => void): Promise<void> {
    const response = this.#response;
    if (response === undefined) return;
    let sinceProgress = 0;
    const ended = new Promise<void>((resolve) => {
      response.on("data", (chunk: Buffer) => {
        if (this.#ended) return;
        sinceProgress += chunk.length;
        if (sinceProgress >= LEAST_PROGRESS) {
          sinceProgress = 0;
          this.#progressMs = this.#clock.now();
        }
        try {
          accept(chunk);
        } catch (error) {
          this.#stop();
          this.#fail(error);
        }
      });
      response.once("end", () => {
        if (response.complete) resolve();
        else this.#fail(new PassingFailure("the answer ended early"));
      });
      response.once("close", () => {
        if (!response.complete) this.#fail(new PassingFailure("the answer ended early"));
      });
    });
    try {
      await Promise.race([ended, this.#failed]);
    } finally {
      this.#stop();
    }
  }

  [Symbol.dispose](): void {
    this.#stop();
    // What has come whole is let out, so that the connection is free for the next request.
    if (this.#response?.complete === true) this.#response.resume();
    else this.#request.destroy();
  }

  async #head(): Promise<void> {
    const answered = new Promise<IncomingMessage>((resolve) => this.#request.once("response", resolve));
    const response = await Promise.race([answered, this.#failed]);
    response.on("error", (error) => this.#fail(error));
    this.#response = response;
    this.#progressMs = this.#clock.now();
  }

  /** One timer serves many chunks: what came meanwhile puts off the end when it rings. */
  #watch(): void {
    const leftMs = this.#progressMs + this.#timeoutMs - this.#clock.now();
    if (leftMs <= 0) return this.#fail(new PassingFailure(`the server sent nothing for ${this.#timeoutMs / 1000} s`));
    this.#timer = this.#clock.schedule(leftMs, () => this.#watch());
  }

  #stop(): void {
    this.#ended = true;
    this.#timer?.[Symbol.dispose]();
    this.#signal?.removeEventListener("abort", this.#abort);
  }
}
