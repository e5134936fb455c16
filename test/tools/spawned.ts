/** The command in a process of its own, from the sources. */

import { main, processHost } from "@coblock/cli";

/** Called as another program: its name. */
const kind = process.env["COBLOCK_TEST_PROGRAM"];
const program = kind === "qemu-img" ? ({ kind, name: kind } as const) : undefined;
process.exitCode = await main(process.argv.slice(2), processHost(), program);
