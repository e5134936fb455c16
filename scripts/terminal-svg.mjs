/** Text with the escape sequences of a terminal as SVG; blocks are drawn as shapes, so that they meet whatever the font. */

const CELL_WIDTH = 8;
const CELL_HEIGHT = 18;
const MARGIN = 14;
const TEXT_COLOUR = "#d6dce4";
const BACKGROUND = "#14181f";
/** Of the sixteen that a terminal names, those that are used. */
const NAMED = new Map([
  ["31", "#ff6b63"],
  ["33", "#e3b341"],
]);
/** Blocks by how much of their cell they fill. */
const SHADES = new Map([
  ["█", 1],
  ["▓", 0.75],
  ["▒", 0.5],
  ["░", 0.28],
]);
const EIGHTHS = " ▏▎▍▌▋▊▉";

/** @typedef {{ text: string, colour: string, isBold: boolean, isDim: boolean }} Run */

/**
 * @param {string} text
 * @param {number} columns
 * @param {string} title
 */
export function terminalSvg(text, columns, title) {
  const rows = text
    .trimEnd()
    .split("\n")
    .flatMap((line) => folded(runsOf(line), columns));
  const width = columns * CELL_WIDTH + 2 * MARGIN;
  const height = rows.length * CELL_HEIGHT + 2 * MARGIN;
  const body = rows.flatMap((runs, row) => drawRow(runs, MARGIN + row * CELL_HEIGHT));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escape(title)}, on a terminal</title>`,
    "<style>text{font:13px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}.b{font-weight:700}.d{opacity:.65}</style>",
    `<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>`,
    ...body,
    "</svg>",
    "",
  ].join("\n");
}

/**
 * @param {string} line
 * @returns {Run[]}
 */
function runsOf(line) {
  const runs = [];
  let style = { colour: TEXT_COLOUR, isBold: false, isDim: false };
  for (const piece of line.split(/(\u001b\[[\d;]*m)/)) {
    const codes = /^\u001b\[([\d;]*)m$/.exec(piece)?.[1]?.split(";");
    if (codes === undefined) {
      if (piece !== "") runs.push({ ...style, text: piece });
    } else if (codes[0] === "0") style = { colour: TEXT_COLOUR, isBold: false, isDim: false };
    else if (codes[0] === "38") style = { ...style, colour: colourOf(Number(codes[2])) };
    else {
      const named = codes.map((code) => NAMED.get(code)).find((colour) => colour !== undefined);
      style = { colour: named ?? style.colour, isBold: style.isBold || codes.includes("1"), isDim: style.isDim || codes.includes("2") };
    }
  }
  return runs;
}

/**
 * Lines that are too long go on in the next row, as on a terminal.
 * @param {Run[]} runs
 * @param {number} columns
 * @returns {Run[][]}
 */
function folded(runs, columns) {
  const rows = /** @type {Run[][]} */ ([[]]);
  let column = 0;
  for (const run of runs) {
    for (let rest = run.text; rest !== "";) {
      if (column === columns) {
        rows.push([]);
        column = 0;
      }
      const part = rest.slice(0, columns - column);
      rows.at(-1)?.push({ ...run, text: part });
      column += part.length;
      rest = rest.slice(part.length);
    }
  }
  return rows;
}

/**
 * @param {Run[]} runs
 * @param {number} top
 */
function drawRow(runs, top) {
  const shapes = [];
  let column = 0;
  for (const run of runs) {
    for (const [piece] of run.text.matchAll(/([█▓▒░▏▎▍▌▋▊▉ ])\1*|[^█▓▒░▏▎▍▌▋▊▉ ]+(?: [^█▓▒░▏▎▍▌▋▊▉ ]+)*/gu)) {
      shapes.push(drawPiece(piece, run, MARGIN + column * CELL_WIDTH, top));
      column += piece.length;
    }
  }
  return shapes.filter((shape) => shape !== "");
}

/**
 * @param {string} piece  One kind of block, spaces, or words.
 * @param {Run} run
 * @param {number} x
 * @param {number} top
 */
function drawPiece(piece, { colour, isBold, isDim }, x, top) {
  const [first = ""] = piece;
  const width = piece.length * CELL_WIDTH;
  const shade = SHADES.get(first);
  const eighth = EIGHTHS.indexOf(first);
  if (shade !== undefined)
    return `<rect x="${x}" y="${top}" width="${width}" height="${CELL_HEIGHT - 2}" fill="${colour}"${shade === 1 ? "" : ` opacity="${shade}"`}/>`;
  if (first === " ") return "";
  if (eighth > 0) return `<rect x="${x}" y="${top}" width="${eighth}" height="${CELL_HEIGHT - 2}" fill="${colour}"/>`;
  const classes = [...(isBold ? ["b"] : []), ...(isDim ? ["d"] : [])].join(" ");
  const className = classes === "" ? "" : ` class="${classes}"`;
  return `<text x="${x}" y="${top + 13}" fill="${colour}"${className} textLength="${width}">${escape(piece)}</text>`;
}

/**
 * Of the 256: the cube of 6 × 6 × 6 and the greys behind it.
 * @param {number} index
 */
function colourOf(index) {
  const level = (/** @type {number} */ step) => (step === 0 ? 0 : 55 + 40 * step);
  const cube = index - 16;
  const parts =
    index >= 232
      ? Array.from({ length: 3 }, () => 8 + 10 * (index - 232))
      : [level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)];
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
