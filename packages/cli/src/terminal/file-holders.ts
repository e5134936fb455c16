/** Who has a file open, as far as the host tells: /proc(5) of Linux, and only processes of the same user unless root asks. */

import { readdirSync, readFileSync, statSync } from "node:fs";

/** A process. */
export interface FileHolder {
  readonly pid: number;
  /** Its command, without arguments. */
  readonly command: string;
}

/** Other processes than this one; empty where nothing can be found out. */
export function holdersOf(fileName: string): readonly FileHolder[] {
  const file = statSync(fileName, { bigint: true, throwIfNoEntry: false });
  if (file === undefined) return [];
  const holders: FileHolder[] = [];
  for (const name of entriesOf("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (entriesOf(`/proc/${name}/fd`).some((descriptor) => isFile(`/proc/${name}/fd/${descriptor}`, file)))
      holders.push({ pid, command: commandOf(name) });
  }
  return holders;
}

function isFile(path: string, { dev, ino }: { readonly dev: bigint; readonly ino: bigint }): boolean {
  const found = ifThere(() => statSync(path, { bigint: true }));
  return found !== undefined && found.dev === dev && found.ino === ino;
}

function commandOf(pid: string): string {
  return ifThere(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim()) ?? "?";
}

function entriesOf(folder: string): readonly string[] {
  return ifThere(() => readdirSync(folder)) ?? [];
}

/** Processes end while they are looked at, and those of others may not be looked at. */
function ifThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM", "ENOTDIR", "ENXIO"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
