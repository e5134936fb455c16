/** An SVG document that grows downwards: headings, lines of text, legends and shapes, and the colours that they use. */

import { formatSize } from "../text/size.ts";
import type { LegendEntry } from "./legend.ts";
import type { PaintedKind } from "./painted-kind.ts";

/** Pixels. */
const LINE_HEIGHT = 20;
const SAMPLE = 12;
/** Characters that fit into a line. */
const LINE_LENGTH = 118;

/** Everything is escaped that it is given. */
export class Page {
  readonly #width: number;
  readonly #margin: number;
  readonly #kinds: PaintedKind[] = [];
  readonly #body: string[] = [];
  #top: number;

  constructor(width: number, margin: number) {
    this.#width = width;
    this.#margin = margin;
    this.#top = margin;
  }

  /** Where the next thing goes, pixels. */
  get top(): number {
    return this.#top;
  }

  /** Between the margins, pixels. */
  get innerWidth(): number {
    return this.#width - 2 * this.#margin;
  }

  /** The class of a kind's shapes. */
  classOf(kind: PaintedKind): string {
    if (!this.#kinds.includes(kind)) this.#kinds.push(kind);
    return `k${this.#kinds.indexOf(kind)}`;
  }

  heading(text: string): void {
    if (this.#body.length > 0) this.space(SAMPLE);
    this.#text(this.#margin, text, "heading");
    this.space(LINE_HEIGHT + 4);
  }

  line(text: string): void {
    this.#text(this.#margin, text, "text");
    this.space(LINE_HEIGHT);
  }

  legend(entries: readonly LegendEntry[]): void {
    this.space(2);
    for (const { kind, name, bytes, share } of entries) {
      const y = this.#top + 3;
      this.path(`${this.classOf(kind)} sample`, `M${this.#margin} ${y}h${SAMPLE}v${SAMPLE}h-${SAMPLE}z`, name);
      this.#text(this.#margin + SAMPLE + 8, `${name}: ${formatSize(bytes)}, ${share}`, "text");
      this.space(LINE_HEIGHT);
    }
  }

  path(className: string, data: string, title: string): void {
    this.#body.push(`<path class="${className}" d="${data}"><title>${escapeXml(title)}</title></path>`);
  }

  filledPath(fill: string, data: string): void {
    this.#body.push(`<path fill="${fill}" d="${data}"/>`);
  }

  space(pixels: number): void {
    this.#top += pixels;
  }

  /** The document. */
  finish(title: string, description: string): string {
    const height = Math.ceil(this.#top + this.#margin);
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" width="${this.#width}" height="${height}" viewBox="0 0 ${this.#width} ${height}" role="img" aria-labelledby="title description">`,
      `<title id="title">${escapeXml(title)}</title>`,
      `<desc id="description">${escapeXml(description)}</desc>`,
      `<style>${this.#style()}</style>`,
      `<rect class="page" width="100%" height="100%"/>`,
      ...this.#body,
      "</svg>",
      "",
    ].join("\n");
  }

  #style(): string {
    const rules = (theme: "light" | "dark"): string =>
      this.#kinds.map((kind, index) => `.k${index}{fill:${theme === "light" ? kind.light : kind.dark}}`).join("");
    const letters = "font-family:system-ui,sans-serif;white-space:pre";
    const light = `.page{fill:#fff}.heading,.text{fill:#1f2328}.sample{stroke:#59636e;stroke-width:.5}${rules("light")}`;
    const dark = `.page{fill:#0d1117}.heading,.text{fill:#e6edf3}.sample{stroke:#9198a1}${rules("dark")}`;
    return `.heading{${letters};font-size:15px;font-weight:600}.text{${letters};font-size:13px}${light}@media (prefers-color-scheme:dark){${dark}}`;
  }

  #text(x: number, text: string, className: string): void {
    this.#body.push(`<text class="${className}" x="${x}" y="${this.#top + 14}">${escapeXml(shorten(text))}</text>`);
  }
}

/** Names of files may be long: what is in the middle tells least. The whole of it is in the description. */
function shorten(text: string): string {
  if (text.length <= LINE_LENGTH) return text;
  const half = Math.floor((LINE_LENGTH - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** Text for XML 1.0, which cannot hold most control characters and no half of a surrogate pair ("Extensible Markup Language", section 2.2). */
export function escapeXml(text: string): string {
  const legal = text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD");
  return legal.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
