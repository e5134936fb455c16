/** `coblock map --draw`: surveys an image and shows it, on the terminal or as SVG. */

import { writeFile } from "node:fs/promises";
import { errnoWords, type BlockNode } from "@coblock/core";
import { CommandFailure } from "../failure.ts";
import type { Session } from "../session.ts";
import { surveyImage } from "./picture.ts";
import { drawAsSvg, SVG_COUNTS } from "./svg-picture.ts";
import { cellsOf, DISK_LINES, drawOnTerminal } from "./terminal-picture.ts";

export interface Drawing {
  /** The part of the disk to draw, bytes. */
  readonly start: number;
  readonly end: number;
  /** A file for SVG; empty: standard output. */
  readonly fileName: string;
  /** SVG also where it goes to standard output. */
  readonly asSvg: boolean;
}

/** Throws CommandFailure for a file that is none of SVG's, which could be an image, and for one that cannot be written. */
export async function drawImage(image: BlockNode, { start, end, fileName, asSvg }: Drawing, session: Session): Promise<void> {
  if (fileName !== "" && !/\.svg$/i.test(fileName)) throw new CommandFailure(`--draw writes SVG: '${fileName}' does not end in .svg`);
  if (start >= end) throw new CommandFailure(`'${image.fileName}' has no bytes from ${start} on to draw`);
  const cells = cellsOf(session.screen);
  const isSvg = asSvg || fileName !== "";
  const counts = isSvg ? SVG_COUNTS : { diskCount: DISK_LINES * cells, layerCount: cells, fileCount: cells };
  const progress = session.startProgress({ printed: false, quiet: false, stepPercent: 1 });
  try {
    const onProgress = (done: number, total: number): void => progress.update(done, total);
    const picture = await surveyImage(image, { start, end, ...counts, signal: session.signal, onProgress });
    progress.end();
    if (fileName !== "") await write(fileName, drawAsSvg(picture));
    else session.output.print(isSvg ? drawAsSvg(picture) : drawOnTerminal(picture, session.screen));
  } finally {
    progress.end();
  }
}

async function write(fileName: string, text: string): Promise<void> {
  try {
    await writeFile(fileName, text);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new CommandFailure(`Could not write '${fileName}': ${code === undefined ? message : errnoWords(code)}`, 1, { cause });
  }
}
