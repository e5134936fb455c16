/** How far long work has come: qemu-img's `-p`, a bar on a terminal, an answer to SIGUSR1. */

import type { Clock } from "@coblock/core";
import type { TextStream } from "./host.ts";
import type { Output } from "./output.ts";
import { formatFixed } from "./text/fixed.ts";
import { formatSize } from "./text/size.ts";

export interface ProgressParts {
  readonly clock: Clock;
  readonly output: Output;
  readonly stderr: TextStream;
  /** `-p`: on standard output, as qemu-img prints it. */
  readonly printed: boolean;
  /** The least step that `-p` prints, percent. */
  readonly stepPercent: number;
  /** `-q`: nothing but what is asked for. */
  readonly quiet: boolean;
}

/** The bar shows up when work turns out to be long, and then moves this often. */
const BAR_DELAY_MS = 500;
const BAR_INTERVAL_MS = 100;
const BAR_WIDTH = 24;

export class Progress {
  readonly #parts: ProgressParts;
  readonly #startMs: number;
  readonly #bar: boolean;
  #done = 0;
  #total = 0;
  #printedPercent: number | undefined;
  #drawnMs: number | undefined;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
    this.#startMs = parts.clock.now();
    this.#bar = parts.stderr.isTTY === true && !parts.printed && !parts.quiet;
    if (parts.printed) this.#printQemu(0);
  }

  /** Both in bytes of work. */
  update(done: number, total: number): void {
    this.#done = done;
    this.#total = total;
    if (this.#parts.printed) this.#printQemu(this.#percent);
    else if (this.#bar) this.#drawBar();
  }

  /** For SIGUSR1. */
  report(): string {
    return `    (${formatFixed(this.#percent, 2)}/100%)\n`;
  }

  /** All is done. */
  finish(): void {
    this.#done = this.#total;
    if (this.#parts.printed && this.#printedPercent !== 100) this.#printQemu(100);
  }

  /** Clears what was drawn; after success and failure alike. `words` are printed between the last percentage and the end of its line. */
  end(words: () => void = () => {}): void {
    if (this.#drawnMs !== undefined) this.#parts.stderr.write("\r\u001b[K");
    this.#drawnMs = undefined;
    words();
    if (this.#parts.printed) this.#parts.output.line();
  }

  get #percent(): number {
    return this.#total === 0 ? 0 : (this.#done / this.#total) * 100;
  }

  #printQemu(percent: number): void {
    if (this.#printedPercent !== undefined && percent < this.#printedPercent + this.#parts.stepPercent && percent !== 100) return;
    if (percent === this.#printedPercent) return;
    this.#printedPercent = percent;
    this.#parts.output.print(`    (${formatFixed(percent, 2)}/100%)\r`);
    this.#parts.output.flush();
  }

  #drawBar(): void {
    const nowMs = this.#parts.clock.now();
    const dueMs = this.#drawnMs === undefined ? this.#startMs + BAR_DELAY_MS : this.#drawnMs + BAR_INTERVAL_MS;
    if (nowMs < dueMs) return;
    this.#drawnMs = nowMs;
    const percent = this.#percent;
    const full = Math.round((percent / 100) * BAR_WIDTH);
    const bar = `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}]`;
    const leftSeconds = percent === 0 ? undefined : Math.ceil(((nowMs - this.#startMs) / percent) * (100 - percent) * 0.001);
    const left = leftSeconds === undefined ? "" : `, ${leftSeconds} s left`;
    const line = `${percent.toFixed(1).padStart(5)} % ${bar} ${formatSize(this.#done)} of ${formatSize(this.#total)}${left}`;
    this.#parts.stderr.write(`\r${line.slice(0, (this.#parts.stderr.columns ?? 80) - 1)}\u001b[K`);
  }
}
