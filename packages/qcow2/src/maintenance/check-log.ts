/** What a check has found so far: counted, and told in qemu-img's words with what it means. */

import type { CheckOptions, Finding } from "@coblock/core";
import { ADVICE, type AdviceKind } from "./advice.ts";

export class CheckLog {
  readonly #report: (finding: Finding) => void;
  readonly #repairWord: string;
  corruptions = 0;
  leaks = 0;
  errors = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  /** Entries that may once have led to something that nothing leads to now: as long as there are some, nothing is freed. */
  lostEntries = 0;

  constructor(report: (finding: Finding) => void, { dryRun = false }: Pick<CheckOptions, "dryRun"> = {}) {
    this.#report = report;
    this.#repairWord = dryRun ? "Would repair" : "Repairing";
  }

  /** Counts and says nothing. */
  silent(): CheckLog {
    return new CheckLog(() => {});
  }

  /** Whatever corruption a second look does not find any more has been repaired. */
  settle({ corruptions, lostEntries }: CheckLog): void {
    this.corruptionsFixed += Math.max(0, this.corruptions - corruptions);
    this.corruptions = corruptions;
    this.lostEntries = lostEntries;
  }

  /** Something in the metadata that cannot be, and that no refcount can put right. */
  damaged(what: string, offset: number, kind: AdviceKind): void {
    this.corruptions++;
    this.lostEntries++;
    this.#tell("error", what, offset, kind);
  }

  /** Something wrong that leads nowhere else. */
  wrong(what: string, offset: number, kind: AdviceKind): void {
    this.corruptions++;
    this.#tell("error", what, offset, kind);
  }

  /** As `wrong`, but counted by the caller, or not at all. */
  told(what: string, offset: number, kind: AdviceKind): void {
    this.#tell("error", what, offset, kind);
  }

  leaked(what: string, offset: number): void {
    this.leaks++;
    this.#tell("leak", what, offset, "leak");
  }

  unchecked(what: string, offset: number): void {
    this.errors++;
    this.#tell("error", what, offset, "unchecked");
  }

  /** What a repair does about something that was told before. */
  repairing(what: string, offset: number, kind: AdviceKind): void {
    this.#tell("note", `${this.#repairWord} ${what}`, offset, kind);
  }

  /** Something that is worth to know and is not wrong. */
  noted(what: string, offset: number, kind: AdviceKind): void {
    this.#tell("note", what, offset, kind);
  }

  /** Why a repair leaves something as it is. */
  kept(what: string, offset: number): void {
    this.#tell("note", what, offset, "kept");
  }

  #tell(severity: Finding["severity"], what: string, offset: number, kind: AdviceKind): void {
    this.#report({ severity, what, offset, ...ADVICE[kind] });
  }
}
