/** How far long work has come: qemu-img's `-p`, a bar on a terminal, an answer to SIGUSR1. */

import type { Clock } from "@coblock/core";
import type { TextStream } from "./host.ts";
import type { Output } from "./output.ts";
import { ProgressBar } from "./terminal/progress-bar.ts";
import type { Screen } from "./terminal/screen.ts";
import { formatFixed } from "./text/fixed.ts";

export interface ProgressParts {
  readonly clock: Clock;
  readonly output: Output;
  readonly stderr: TextStream;
  /** What is seen of `stderr`. */
  readonly screen: Screen;
  /** `-p`: on standard output, as qemu-img prints it. */
  readonly printed: boolean;
  /** The least step that `-p` prints, percent. */
  readonly stepPercent: number;
  /** `-q`: nothing but what is asked for. */
  readonly quiet: boolean;
}

export class Progress {
  readonly #parts: ProgressParts;
  readonly #bar: ProgressBar | undefined;
  #done = 0;
  #total = 0;
  #printedPercent: number | undefined;

  constructor(parts: ProgressParts) {
    const { clock, stderr, screen, printed, quiet } = parts;
    this.#parts = parts;
    this.#bar = screen.isTerminal && !printed && !quiet ? new ProgressBar(clock, stderr, screen) : undefined;
    if (printed) this.#printQemu(0);
  }

  /** Both in bytes of work. */
  update(done: number, total: number): void {
    this.#done = done;
    this.#total = total;
    if (this.#parts.printed) this.#printQemu(this.#percent);
    else this.#bar?.update(done, total);
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

  /** Other words come on the terminal. */
  makeRoom(): void {
    this.#bar?.clear();
  }

  /** The work is going to stop: nothing more is drawn. */
  stop(): void {
    this.#bar?.stop();
  }

  /** Clears what was drawn; after success and failure alike. `words` are printed between the last percentage and the end of its line. */
  end(words: () => void = () => {}): void {
    this.stop();
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
}
