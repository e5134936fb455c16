/** What a check has found so far: counted, and told in qemu-img's words with what it means. */

import type { Finding } from "@coblock/core";

/** Why a finding matters and what helps. */
type Advice = Pick<Finding, "meaning" | "repair" | "risk">;

const DAMAGED_ENTRY: Advice = {
  meaning: "An entry of the metadata cannot be right.",
  repair: "qemu-img check -r all, after a copy of the image was made; or convert what can be read into a new image.",
  risk: "Reading the clusters behind it fails or shows wrong bytes; writing may damage others.",
};
const TOO_FEW: Advice = {
  meaning: "More owners use the cluster than its refcount says.",
  repair: "qemu-img check -r all raises the refcount.",
  risk: "The cluster may be handed out a second time: then two places of the disk overwrite each other.",
};
const LEAK: Advice = {
  meaning: "The cluster is counted as used, but nothing uses it.",
  repair: "qemu-img check -r leaks frees it.",
  risk: "None for the data; the file is larger than it need be.",
};
const COPIED: Advice = {
  meaning: "The entry says whether its cluster has one owner alone, and the refcount says otherwise.",
  repair: "qemu-img check -r all corrects the flag.",
  risk: "A cluster that a snapshot shares may be overwritten, or one that could be overwritten is copied.",
};
const UNCHECKED: Advice = {
  meaning: "This part of the metadata could not be checked.",
  repair: "Look at what is reported before it; qemu-img check -r all rebuilds refcounts.",
  risk: "Damage may have gone unseen.",
};

export class CheckLog {
  readonly #report: (finding: Finding) => void;
  corruptions = 0;
  leaks = 0;
  errors = 0;

  constructor(report: (finding: Finding) => void) {
    this.#report = report;
  }

  /** Something in the metadata that cannot be. */
  damaged(what: string, offset: number): void {
    this.corruptions++;
    this.#report({ severity: "error", what, offset, ...DAMAGED_ENTRY });
  }

  tooFew(what: string, offset: number): void {
    this.corruptions++;
    this.#report({ severity: "error", what, offset, ...TOO_FEW });
  }

  copiedFlag(what: string, offset: number): void {
    this.corruptions++;
    this.#report({ severity: "error", what, offset, ...COPIED });
  }

  leaked(what: string, offset: number): void {
    this.leaks++;
    this.#report({ severity: "leak", what, offset, ...LEAK });
  }

  unchecked(what: string, offset: number): void {
    this.errors++;
    this.#report({ severity: "error", what, offset, ...UNCHECKED });
  }
}
