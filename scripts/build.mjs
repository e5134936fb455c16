/** `npm run build`: installs, compiles and bundles whatever is not up to date. */

import { runScript } from "./command.mjs";
import { setUp } from "./setup.mjs";

await runScript(setUp);
