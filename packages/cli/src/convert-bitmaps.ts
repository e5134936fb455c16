/** The dirty bitmaps that `convert --bitmaps` copies along with the disk. */

import { BlockError, type BlockNode, type DirtyBitmap } from "@coblock/core";
import { CommandFailure } from "./failure.ts";
import type { Session } from "./session.ts";

interface BitmapWords {
  readonly skipBrokenBitmaps: boolean;
  /** `-l`. */
  readonly snapshot: string | undefined;
}

/** Those that the source keeps; throws CommandFailure, before anything is written, where they cannot be copied. */
export async function bitmapsToCopy(source: BlockNode, { skipBrokenBitmaps, snapshot }: BitmapWords): Promise<readonly DirtyBitmap[]> {
  if (snapshot !== undefined)
    throw new CommandFailure("--bitmaps cannot be used with -l: bitmaps tell of the disk as it is, not of a snapshot's");
  if (!source.bitmaps.canKeep) throw new CommandFailure("Source lacks bitmap support");
  const bitmaps = await source.bitmaps.all();
  const broken = bitmaps.find(({ inconsistent }) => inconsistent);
  if (broken !== undefined && !skipBrokenBitmaps) {
    throw new CommandFailure(
      `Cannot copy inconsistent bitmap '${broken.name}'; try --skip-broken-bitmaps, or 'bitmap --remove' to delete it`,
    );
  }
  return bitmaps;
}

/** To an image that holds the copied disk; inconsistent ones are left out with a warning. Throws CommandFailure. */
export async function copyBitmaps(bitmaps: readonly DirtyBitmap[], target: BlockNode, session: Session): Promise<void> {
  for (const bitmap of bitmaps) {
    session.signal.throwIfAborted();
    if (bitmap.inconsistent) session.complain(`warning: Skipping inconsistent bitmap '${bitmap.name}'`);
    else await copyBitmap(bitmap, target);
  }
}

/** A copy that could not be filled is not left behind: it would say that nothing has changed. */
async function copyBitmap(bitmap: DirtyBitmap, { bitmaps }: BlockNode): Promise<void> {
  const { name, granularity, enabled } = bitmap;
  await orFail(`Failed to create bitmap ${name}`, () => bitmaps.add({ name, granularity, enabled, persistent: true }));
  await orFail(`Failed to populate bitmap ${name}`, async () => {
    try {
      await bitmaps.merge(name, [bitmap]);
    } catch (error) {
      await bitmaps.remove(name);
      throw error;
    }
  });
}

async function orFail(what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new CommandFailure(`${what}: ${error.message}`, 1, { cause: error });
  }
}
