/** What bytes of a disk or of a file can be, and how each looks: in colour, without colour, in plain ASCII. */

export interface PaintedKind {
  /** As legends name it. */
  readonly name: string;
  /** Which of several kinds in one place is shown: the highest. 0: nothing is there. */
  readonly rank: 0 | 1 | 2;
  /** Without colour; one character each. */
  readonly glyph: string;
  readonly ascii: string;
  /** Of the 256 of a terminal. */
  readonly colour: number;
  /** On a light and on a dark page. */
  readonly light: string;
  readonly dark: string;
}

/** The palette is told apart also by those who see fewer colours (Okabe and Ito, "Color Universal Design"). */
export const DATA: PaintedKind = { name: "data", rank: 2, glyph: "█", ascii: "#", colour: 32, light: "#0072b2", dark: "#4aa8e0" };
export const COMPRESSED: PaintedKind = {
  name: "compressed data",
  rank: 2,
  glyph: "▓",
  ascii: "%",
  colour: 175,
  light: "#b0578d",
  dark: "#e08fbd",
};
export const ZERO: PaintedKind = { name: "zeros", rank: 1, glyph: "░", ascii: "-", colour: 245, light: "#8a9099", dark: "#7d8590" };
export const UNALLOCATED: PaintedKind = {
  name: "unallocated",
  rank: 0,
  glyph: "·",
  ascii: ".",
  colour: 240,
  light: "#e4e7eb",
  dark: "#2b3138",
};
export const BEYOND: PaintedKind = { ...UNALLOCATED, name: "behind its end", glyph: " ", ascii: " ", light: "none", dark: "none" };
export const RESERVED: PaintedKind = { ...ZERO, name: "kept for zeros" };
export const METADATA: PaintedKind = {
  name: "metadata",
  rank: 2,
  glyph: "▒",
  ascii: "=",
  colour: 203,
  light: "#c2312f",
  dark: "#ff7b72",
};
export const HOLE: PaintedKind = { ...UNALLOCATED, name: "not on the host's disk" };

const LAYER_COLOURS: readonly (readonly [colour: number, light: string, dark: string])[] = [
  [172, "#c26a00", "#f0a030"],
  [36, "#00805d", "#2fc79a"],
  [166, "#b5450a", "#f07f3c"],
  [74, "#2b7ea8", "#7cc6ee"],
  [143, "#7d7400", "#d8cf4a"],
  [97, "#6b4fa0", "#ab92dc"],
  [131, "#92403a", "#d98078"],
  [66, "#456b6b", "#86b3b3"],
];

/** Layers below it share its colour. */
export const LAST_PAINTED_LAYER: number = LAYER_COLOURS.length;

/** Bytes that come from a layer of the chain: 1 is the backing file, 2 what is below that one. */
export function layerKind(depth: number, name: string): PaintedKind {
  const index = Math.min(depth, LAST_PAINTED_LAYER);
  const [colour, light, dark] = LAYER_COLOURS[index - 1] ?? [DATA.colour, DATA.light, DATA.dark];
  const glyph = String(index);
  return { name, rank: 2, glyph, ascii: glyph, colour, light, dark };
}
