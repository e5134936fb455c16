/** Long texts page by page, as git and man show theirs. */

import { spawnSync } from "node:child_process";
import type { Host } from "../host.ts";

/** Quit where one page holds it all, pass colours on, leave the text on the screen. */
const LESS_OPTIONS = "FRX";
/** What a shell answers for a program that cannot be started, or is not there. */
const NOT_STARTED = [126, 127];
/** Says nothing where there is no less. */
const DEFAULT_PAGER = "command -v less >/dev/null || exit 127; exec less";

/** Whether `text` was shown by the program that `PAGER` names, by default less. An empty `PAGER` and a terminal that is `dumb` want none. */
export function showInPager(text: string, env: NonNullable<Host["env"]>): boolean {
  const { PAGER: pager = DEFAULT_PAGER } = env;
  if (pager.trim() === "" || env["TERM"] === "dumb") return false;
  const { status } = spawnSync(pager, {
    shell: true,
    input: text,
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...env, LESS: env["LESS"] ?? LESS_OPTIONS },
  });
  return status !== null && !NOT_STARTED.includes(status);
}
