/**
 * Checks all metadata of an image: who owns which cluster, and whether the refcounts and flags say the same; and repairs it.
 *
 * A repair goes in steps with a flush between: entries that keep space where none can be, refcounts that are too low (or all of them, anew),
 * those that are too high, flags, the table of snapshots, and last the marks of the header. After each of them the image is no worse than
 * before: what is in use is counted first, and given up last. While a damaged entry remains nothing is freed, as it may have led there.
 */

import { type BlockChild, BlockError, type CheckOptions, type CheckResult, type Clock, type Finding } from "@coblock/core";
import { CORRUPT, DIRTY } from "../format/features.ts";
import { clustersFor, geometryOf } from "../format/geometry.ts";
import { encodeFeatures, HEADER_AT } from "../format/header.ts";
import { readBitmaps, readHeader } from "../image/read-header.ts";
import { CheckFile } from "./check-file.ts";
import { CheckLog } from "./check-log.ts";
import { CopiedFlags } from "./check-copied.ts";
import { RefcountComparison } from "./check-refcounts.ts";
import { KnownRefcounts } from "./known-refcounts.ts";
import { mendEntries } from "./mend-entries.ts";
import { rebuildRefcounts } from "./rebuild-refcounts.ts";
import { RefcountTable } from "./refcount-table.ts";
import { findSnapshots, type FoundSnapshots, rewriteSnapshots } from "./repair-snapshots.ts";
import { type Inventory, type Survey, survey } from "./survey.ts";
import { TableOwners } from "./table-owners.ts";

export interface CheckParts {
  readonly file: BlockChild;
  readonly clock: Clock;
  /** Virtual size, bytes. */
  readonly size: number;
}

/**
 * Findings in qemu-img's words and order. The header, snapshots and bitmaps are read anew: the image may have changed since it was opened.
 * Nothing else may use the image during a repair. Throws CORRUPT_IMAGE for what cannot be looked at, and where leaks cannot be repaired alone.
 */
export async function checkImage(parts: CheckParts, options: CheckOptions, report: (finding: Finding) => void): Promise<CheckResult> {
  const { file: child, clock } = parts;
  const image = await readHeader(child, { forCheck: true });
  const { header } = image;
  const geometry = geometryOf(header);
  const log = new CheckLog(report, options);
  const snapshots = await findSnapshots(child, header, options, log);
  const inventory = { image, snapshots: snapshots.table, bitmaps: await readBitmaps(child, image) };
  const file = new CheckFile(child, geometry, clock, options);
  const table = await RefcountTable.read(file, header.refcountTableOffset, header.refcountTableClusters);
  return new ImageCheck(parts, { file, inventory, snapshots, table, options, log }).run();
}

interface Work {
  readonly file: CheckFile;
  readonly inventory: Inventory;
  readonly snapshots: FoundSnapshots;
  readonly table: RefcountTable;
  readonly options: CheckOptions;
  readonly log: CheckLog;
}

class ImageCheck {
  readonly #parts: CheckParts;
  readonly #work: Work;
  /** L2 tables that were mended, by offset. */
  #mended: ReadonlySet<number> = new Set();
  /** Refcounts that are wrong stay, and flags with them. */
  #keepsRefcounts = false;
  #highest = 0;

  constructor(parts: CheckParts, work: Work) {
    this.#parts = parts;
    this.#work = work;
  }

  async run(): Promise<CheckResult> {
    const { file, inventory, log, options, table } = this.#work;
    let found = await survey(file, inventory, { log, mended: this.#mended, refcountTable: table });
    if (options.repair === "all" && found.mendable.size > 0) found = await this.#mend(found);
    const refcounts = await this.#checkRefcounts(found);
    await this.#checkFlags(found, refcounts);
    await file.flush();
    await this.#repairSnapshots(refcounts);
    if (options.repair !== "none" && log.errors + log.corruptions === 0) await this.#clearMarks();
    return {
      errors: log.errors,
      corruptions: log.corruptions,
      leaks: log.leaks,
      corruptionsFixed: log.corruptionsFixed,
      leaksFixed: log.leaksFixed,
      imageEndOffset: (this.#highest + 1) * file.geometry.clusterSize,
      clusters: { total: clustersFor(file.geometry, this.#parts.size), ...found.fragmentation },
    };
  }

  /** Then everything is counted again, for space was given up. */
  async #mend(found: Survey): Promise<Survey> {
    const { file, inventory, log, table } = this.#work;
    const owners = await TableOwners.count(file, inventory, found.counts);
    this.#mended = await mendEntries(file, found.mendable, owners, log);
    const again = await survey(file, inventory, { log: log.silent(), mended: this.#mended, refcountTable: table });
    log.settle(again.log);
    return again;
  }

  async #checkRefcounts(found: Survey): Promise<KnownRefcounts> {
    const { file, log, table, options } = this.#work;
    const { counts } = found;
    const comparison = new RefcountComparison({ file, counts, log, table });
    await comparison.compare();
    this.#highest = comparison.highest;
    const unusable = table.damaged || comparison.usedAsFree || log.errors > 0;
    if (options.repair === "all" && (unusable || table.outside)) return await this.#rebuild(found, comparison);
    if (options.repair === "leaks" && unusable)
      throw new BlockError(
        "CORRUPT_IMAGE",
        `${this.#parts.file.fileName}: the refcounts are damaged, and leaks cannot be told from data in use; -r all can repair them`,
        { node: this.#parts.file.node.name },
      );
    if (comparison.differs) await this.#adjust(comparison);
    return new KnownRefcounts(counts, comparison);
  }

  /** What is too low first: nothing is free that is in use when anything is freed. */
  async #adjust(comparison: RefcountComparison): Promise<void> {
    const { file, log, options } = this.#work;
    if (options.repair === "all") {
      await comparison.raise();
      await file.flush();
    } else await comparison.adopt(({ stored, counted }) => stored < counted);
    if (options.repair !== "none" && log.lostEntries === 0) {
      await comparison.lower();
      return await file.flush();
    }
    if (options.repair !== "none") this.#keepLeaks();
    await comparison.adopt(({ stored, counted }) => stored > counted);
  }

  async #rebuild(found: Survey, comparison: RefcountComparison): Promise<KnownRefcounts> {
    const { file, inventory, log, table } = this.#work;
    log.repairing("refcount structure: all refcounts are written anew", table.offset, "step");
    const fresh = await survey(file, inventory, { log: log.silent(), mended: this.#mended, refcountTable: undefined });
    const { counts } = fresh;
    const appendOnly = log.lostEntries > 0;
    const kept = appendOnly ? await new RefcountComparison({ file, counts, log, table }).keepUnexplained(found.counts) : 0;
    if (!(await rebuildRefcounts({ file, oldTable: table, oldCounts: found.counts, counts, appendOnly }))) {
      log.kept("Refcounts stay as they are: to write them anew, a place would be written over that something else leads to", table.offset);
      this.#keepsRefcounts = true;
      await comparison.adopt(() => true);
      return new KnownRefcounts(found.counts, comparison);
    }
    log.settle(fresh.log);
    log.errors = 0;
    log.leaksFixed += Math.max(0, log.leaks - kept);
    log.leaks = kept;
    this.#keepLeaks();
    this.#highest = counts.highest;
    return new KnownRefcounts(counts, undefined);
  }

  #keepLeaks(): void {
    const { log } = this.#work;
    if (log.leaks > 0) log.kept("Leaked clusters are kept: a damaged entry may be what led to them", 0);
  }

  async #checkFlags({ counts, sharing }: Survey, refcounts: KnownRefcounts): Promise<void> {
    const { file, inventory, log, options } = this.#work;
    // Where all refcounts are right, none is above one, and every entry says that it is the only owner, no flag can be wrong.
    if (!refcounts.changed && !counts.shared && !sharing && !file.geometry.externalData) return;
    const { l1Offset, l1Entries } = inventory.image.header;
    const isSound = log.errors + log.corruptions + log.leaks === 0;
    const repairs = (options.repair === "all" && !this.#keepsRefcounts) || (options.repair === "leaks" && isSound);
    const owners = repairs ? await TableOwners.count(file, inventory, refcounts.counts) : undefined;
    await new CopiedFlags({ file, refcounts, log, owners, mended: this.#mended }).check(
      await file.readTable(l1Offset, l1Entries * 8),
      l1Offset,
    );
  }

  /**
   * In an image that is sound otherwise: space is allocated for the new table. The old one is given up, so it must be one. The file may grow,
   * and refcounts that were of no cluster before would then be leaks.
   */
  async #repairSnapshots(refcounts: KnownRefcounts): Promise<void> {
    const { file, inventory, snapshots, log, options } = this.#work;
    const { snapshotsOffset } = inventory.image.header;
    if (snapshots.problems === 0) return;
    const isSound = options.repair === "all" && log.errors + log.corruptions === 0;
    const owners = isSound ? await TableOwners.count(file, inventory, refcounts.counts) : undefined;
    if (owners?.isAlone(snapshotsOffset, snapshots.table.length) !== true) {
      if (isSound) log.kept("The table of snapshots stays as it is: something else leads there too", snapshotsOffset);
      log.corruptions += snapshots.problems;
      return;
    }
    if (options.dryRun !== true) {
      await refcounts.clearPastEnd();
      await file.flush();
      await rewriteSnapshots(this.#parts, snapshots.table);
    }
    log.corruptionsFixed += snapshots.problems;
  }

  /** All that the image was repaired with, and what its last user left in the host's cache, is on stable storage before the marks go. */
  async #clearMarks(): Promise<void> {
    const { file, inventory } = this.#work;
    const { version, incompatible } = inventory.image.header;
    if (version === 2 || (incompatible & (DIRTY | CORRUPT)) === 0n) return;
    // Nothing is flushed that was not written through this node.
    for (const flags of [incompatible, incompatible & ~(DIRTY | CORRUPT)]) {
      await file.write(HEADER_AT.incompatible, encodeFeatures(flags));
      await file.flush();
    }
  }
}
