/** What two folders hold, told so that equal texts mean images that are worth the same: the place of clusters is each program's own choice. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";

interface Folders {
  readonly theirs: string;
  readonly ours: string;
  /** Where both were made: names in images count from there. */
  readonly place: string;
}
type Texts = Record<string, string>;

/** "" stands for a file that is not there. */
export async function compareFiles(folders: Folders, names: Iterable<string>): Promise<{ readonly theirs: Texts; readonly ours: Texts }> {
  const found = { theirs: {} as Texts, ours: {} as Texts };
  const images: string[] = [];
  for (const name of names) {
    const [theirs, ours] = [folders.theirs, folders.ours].map((folder) => bytesOf(join(folder, name)));
    for (const [side, bytes] of [["theirs", theirs] as const, ["ours", ours] as const]) found[side][name] = digest(bytes);
    if (theirs !== undefined && ours !== undefined && !theirs.equals(ours) && isImage(theirs) && isImage(ours)) images.push(name);
  }
  for (const side of images.length === 0 ? [] : (["theirs", "ours"] as const)) {
    renameSync(folders[side], folders.place);
    for (const name of images) found[side][name] = await imageText(join(folders.place, name));
    renameSync(folders.place, folders[side]);
  }
  return found;
}

function bytesOf(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}

function isImage(bytes: Buffer): boolean {
  return ["QFI", "QED"].includes(bytes.subarray(0, 3).toString("latin1"));
}

/** What the real qemu-img tells of the image, finds wrong with it, and reads from it. */
async function imageText(path: string): Promise<string> {
  const raw = `${path}.raw`;
  const [info, check, map] = await Promise.all([
    capture("qemu-img", "info", "-U", path),
    capture("qemu-img", "check", "-U", "-q", path),
    capture("qemu-img", "map", "-U", "--output=json", path),
    capture("qemu-img", "convert", "-U", "-O", "raw", path, raw),
  ]);
  const told = info.replace(/^disk size: .*$/m, "").replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "DATE");
  return `${told}check: ${check}\nruns:${runsOf(map)}\ndisk: ${digest(bytesOf(raw))}`;
}

/** Standard output, and the exit code where it is not 0. */
function capture(program: string, ...words: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, words, { maxBuffer: 64 * 1024 * 1024, encoding: "latin1" }, (error, stdout) => {
      resolve(error === null ? stdout : `${stdout}failed with ${String(error.code)}\n`);
    });
  });
}

interface Run {
  readonly start: number;
  readonly depth: number;
  readonly zero: boolean;
  readonly data: boolean;
}

/** What is data, zeros or nothing, in which layer. */
function runsOf(json: string): string {
  if (!json.startsWith("[")) return ` ${json}`;
  let text = "";
  let previous = "";
  for (const { start, depth, zero, data } of JSON.parse(json) as readonly Run[]) {
    const kind = `${depth}${data ? "data" : zero ? "zero" : "nothing"}`;
    if (kind !== previous) text += ` ${start}:${kind}`;
    previous = kind;
  }
  return text;
}

function digest(bytes: Buffer | undefined): string {
  return bytes === undefined ? "" : `${bytes.length} bytes ${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`;
}
