/** The bar on a terminal: how far, how fast, how long yet; it keeps to one line whatever becomes of the terminal. */

import type { Clock } from "@coblock/core";
import type { TextStream } from "../host.ts";
import { formatSize } from "../text/size.ts";
import type { Screen } from "./screen.ts";

/** The bar shows up when work turns out to be long, and then moves this often. */
const DELAY_MS = 500;
const INTERVAL_MS = 100;
/** The rate that is shown follows the true one with this delay: it neither jumps nor lags for long. */
const SMOOTHING_MS = 3000;
/** Cells. */
const MIN_BAR = 6;
const MAX_BAR = 40;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const BAR_COLOUR = 32;
/** Room for the `^C` that a terminal echoes: in the next line nobody would take it away. */
const ECHO_WIDTH = 2;

/** Draws when it is told of progress, at most ten times a second. */
export class ProgressBar {
  readonly #clock: Clock;
  readonly #stream: TextStream;
  readonly #screen: Screen;
  readonly #startMs: number;
  /** When the rate was last looked at, and how far the work was then. */
  #sampleMs: number;
  #sampleDone = 0;
  /** Bytes a millisecond. */
  #rate: number | undefined;
  #drawnMs: number | undefined;
  /** Characters on the line that is drawn; 0: none is. */
  #drawnLength = 0;
  #isStopped = false;

  constructor(clock: Clock, stream: TextStream, screen: Screen) {
    this.#clock = clock;
    this.#stream = stream;
    this.#screen = screen;
    this.#startMs = clock.now();
    this.#sampleMs = this.#startMs;
  }

  /** Both in bytes of work. */
  update(done: number, total: number): void {
    const nowMs = this.#clock.now();
    const dueMs = this.#drawnMs === undefined ? this.#startMs + DELAY_MS : this.#drawnMs + INTERVAL_MS;
    if (this.#isStopped || nowMs < dueMs) return;
    this.#drawnMs = nowMs;
    this.#sample(nowMs, done);
    const [words, line] = this.#line(done, total);
    this.#stream.write(`${this.#backToStart()}${line}\u001b[K`);
    this.#drawnLength = words.length;
  }

  /** Takes the line away, for words that are to be printed or for good; the next update draws it again. */
  clear(): void {
    if (this.#drawnLength > 0) this.#stream.write(`${this.#backToStart()}\u001b[K`);
    this.#drawnLength = 0;
  }

  /** Takes the line away, and draws no more. */
  stop(): void {
    this.clear();
    this.#isStopped = true;
  }

  /** A terminal that has become narrower has broken the line into several. */
  #backToStart(): string {
    const rows = Math.ceil(this.#drawnLength / this.#screen.columns);
    return rows > 1 ? `\r\u001b[${rows - 1}A\u001b[J` : "\r";
  }

  #sample(nowMs: number, done: number): void {
    const passedMs = nowMs - this.#sampleMs;
    if (passedMs <= 0) return;
    const rate = Math.max(0, done - this.#sampleDone) / passedMs;
    // A longer time since the last look weighs more.
    const weight = this.#rate === undefined ? 1 : 1 - Math.exp(-passedMs / SMOOTHING_MS);
    this.#rate = (this.#rate ?? 0) + (rate - (this.#rate ?? 0)) * weight;
    this.#sampleMs = nowMs;
    this.#sampleDone = done;
  }

  /** Without colours, and with them. What does not fit is left out, the least important first. */
  #line(done: number, total: number): readonly [words: string, line: string] {
    const width = this.#screen.columns - ECHO_WIDTH - 1;
    const share = total === 0 ? 0 : Math.min(1, done / total);
    const percent = `${(Math.floor(share * 1000) / 10).toFixed(1).padStart(5)} %`;
    const rate = (this.#rate ?? 0) * 1000;
    const facts = [
      ` ${formatSize(done)} of ${formatSize(total)}`,
      `, ${rate === 0 ? "waiting" : `${formatSize(Math.round(rate))}/s`}`,
      ...(rate === 0 ? [] : [`, ${formatDuration((total - done) / rate)} left`]),
    ];
    while (facts.length > 0 && percent.length + 3 + MIN_BAR + facts.join("").length > width) facts.pop();
    const words = facts.join("");
    const cells = Math.min(MAX_BAR, width - percent.length - words.length - 3);
    if (cells < MIN_BAR) return [percent.slice(0, width), percent.slice(0, width)];
    const full = this.#filled(share, cells);
    const rest = (this.#screen.hasUnicode ? " " : "-").repeat(cells - full.length);
    return [`${percent} [${full}${rest}]${words}`, `${percent} [${this.#screen.colour(full, BAR_COLOUR)}${rest}]${words}`];
  }

  #filled(share: number, cells: number): string {
    if (!this.#screen.hasUnicode) return "#".repeat(Math.round(share * cells));
    const eighths = Math.floor(share * cells * 8);
    return "█".repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? "");
  }
}

/** `42 s`, `3 min 20 s`, `2 h 5 min`, `4 days`. */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
