/** Damaged qcow2 images. */

import { fuzzTests } from "./fuzz-tests.ts";

fuzzTests("qcow2", 3000);
