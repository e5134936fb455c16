/** Damaged QED images. */

import { fuzzTests } from "./fuzz-tests.ts";

fuzzTests("qed", 2000);
