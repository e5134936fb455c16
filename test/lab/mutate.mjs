/** A loader for one process: a source file as it would be with one protection taken out. COBLOCK_MUTATION is the mutation as JSON. */

import { register } from "node:module";

const mutation = process.env["COBLOCK_MUTATION"];
if (mutation !== undefined) register("./mutate-hooks.mjs", import.meta.url, { data: JSON.parse(mutation) });
