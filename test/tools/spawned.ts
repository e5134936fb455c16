/** The command in a process of its own, from the sources. */

import { main } from "@coblock/cli";

process.exitCode = await main(process.argv.slice(2), process);
