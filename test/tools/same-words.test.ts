/** Each case runs with the real qemu-img and with ours on the same images: output and exit code must be the same. */

import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IMAGES, makeImages } from "./images.ts";
import { KNOWN_DIFFERENCES } from "./known-differences.ts";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();

beforeAll(() => {
  makeImages(bench);
  const unclean = readFileSync(bench.path("alone.qed"));
  unclean.writeUInt8(2, 16);
  writeFileSync(bench.path("unclean.qed"), unclean);
  bench.qemuImg("create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", "@preallocated.qcow2", "4M");
  bench.qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", "missing.qcow2", "-F", "qcow2", "@orphan.qcow2", "1M");
});
afterAll(() => bench[Symbol.dispose]());

async function sameAsTheirs(line: string): Promise<void> {
  const words = wordsOf(line);
  const theirs = bench.theirs(words);
  const ours = await bench.ours(words);
  const [expected, got] = [theirs, ours].map(({ exitCode, stdout }) => ({ exitCode, stdout }));
  if (KNOWN_DIFFERENCES.some((known) => known.words === line)) expect(got).not.toEqual(expected);
  else expect(got).toEqual(expected);
  if (ours.exitCode !== 0 && theirs.stdout === "" && theirs.stderr !== "") expect(ours.stderr).toMatch(/^coblock: [^\n]+\n$/);
}

describe("info", () => {
  it.each([...IMAGES, "unclean.qed", "orphan.qcow2"])("%s", async (name) => {
    await sameAsTheirs(`info @${name}`);
    await sameAsTheirs(`info --output=json @${name}`);
  });
  it.each([
    "info --backing-chain @top.qed",
    "info --backing-chain --output=json @top.qed",
    "info --backing-chain --output=json @holes",
    "info --backing-chain @orphan.qcow2",
    "info -f raw @base.qcow2",
    "info -fraw @base.qcow2",
    "info --force-share @base.qcow2",
    "info --backing @middle.qcow2",
    "info --image-opts driver=qcow2,file.filename=@base.qcow2",
    "info --image-opts driver=qcow2,file.driver=file,file.filename=@base.qcow2,read-only=on",
    "info --image-opts file.filename=@base.qcow2",
    'info json:{"driver":"raw","file":{"driver":"file","filename":"@holes"}}',
    "info file:@holes",
    "info /dev/null",
    "info -f nonsense @holes",
    "info -f qcow2 @holes",
    "info --output=xml @holes",
    "info --image-opts -f raw driver=raw,file.filename=@holes",
    "info --image-opts driver=qcow2,nonsense=1,file.filename=@base.qcow2",
    "info @missing",
    "info @",
    "info",
    "info @holes @odd",
    "info --nonsense @holes",
    "info json:{",
    "info nonsense:@holes",
  ])("%s", sameAsTheirs);
});

describe("map", () => {
  it.each([...IMAGES])("%s", async (name) => {
    await sameAsTheirs(`map @${name}`);
    await sameAsTheirs(`map --output=json @${name}`);
  });
  it.each([
    "map --output=json -s 1M -l 2M @top.qed",
    "map --output=json --start-offset=3G @top.qed",
    "map --start-offset=3G @top.qed",
    "map --output=json -s 100 -l 1000 @top.qed",
    "map --output=json -s 100 -l 0 @top.qed",
    "map --output=json -s 70000 -l 100 @odd",
    "map --max-length=64k @middle.qcow2",
    "map -s -1 @holes",
    "map -s x @holes",
    "map -l x @holes",
    "map @orphan.qcow2",
    "map @preallocated.qcow2",
    "map --output=json @preallocated.qcow2",
    "map /dev/null",
  ])("%s", sameAsTheirs);
});

describe("compare", () => {
  it.each([
    "compare @base.qcow2 @base.qcow2",
    "compare @base.qcow2 @middle.qcow2",
    "compare @base.qcow2 @longer.qcow2",
    "compare @longer.qcow2 @base.qcow2",
    "compare -s @longer.qcow2 @base.qcow2",
    "compare -q @longer.qcow2 @base.qcow2",
    "compare -q @base.qcow2 @middle.qcow2",
    "compare -s @holes @holes",
    "compare -s @wide.qcow2 @lazy.qcow2",
    "compare -s @wide.qcow2 @v2.qcow2",
    "compare @wide.qcow2 @tiny-clusters.qcow2",
    "compare @wide.qcow2 @large-clusters.qcow2",
    "compare @wide.qcow2 @subclusters.qcow2",
    "compare @wide.qcow2 @external.qcow2",
    "compare @wide.qcow2 @snapshots.qcow2",
    "compare @odd @empty",
    "compare @empty @odd",
    "compare @odd @odd",
    "compare -f raw @base.qcow2 @base.qcow2",
    "compare -f raw -F raw @base.qcow2 @base.qcow2",
    "compare -U @holes @odd",
    "compare --image-opts driver=raw,file.filename=@holes driver=raw,file.filename=@holes",
    "compare @holes @missing",
    "compare -f qcow2 @holes @holes",
    "compare -T nonsense @holes @holes",
    "compare @holes",
    "compare --nonsense @holes @holes",
    "compare @orphan.qcow2 @holes",
  ])("%s", sameAsTheirs);
});

describe("measure", () => {
  it.each(IMAGES.filter((name) => name !== "empty"))("%s", async (name) => {
    await sameAsTheirs(`measure -O raw @${name}`);
    await sameAsTheirs(`measure -O qcow2 @${name}`);
    await sameAsTheirs(`measure -O qcow2 --output=json @${name}`);
    await sameAsTheirs(`measure -O qcow2 -o cluster_size=4k,refcount_bits=64 @${name}`);
  });
  it.each([
    "measure --size 1G",
    "measure --size 1001",
    "measure --size 1G -O qcow2",
    "measure --size 1T -O qcow2 -o cluster_size=512",
    "measure --size 1G -O qcow2 -o cluster_size=2M,extended_l2=on",
    "measure --size 1G -O qcow2 -o preallocation=full",
    "measure --size 1G -O qcow2 -o preallocation=metadata",
    "measure -O qcow2 -o preallocation=full @middle.qcow2",
    "measure -O qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 @middle.qcow2",
    "measure -O qcow2 -o compat=0.10 @bitmaps.qcow2",
    "measure -f raw -O qcow2 @base.qcow2",
    "measure --size 1G -O qed",
    "measure --size 1G -O nonsense",
    "measure --size 1G -o nonsense=1",
    "measure --size 1G @holes",
    "measure --size x",
    "measure",
    "measure @holes @odd",
    "measure @missing",
  ])("%s", sameAsTheirs);
});

describe("snapshot", () => {
  it.each([...IMAGES])("-l %s", (name) => sameAsTheirs(`snapshot -l @${name}`));
  it.each([
    "snapshot -q -l @snapshots.qcow2",
    "snapshot -U -l @snapshots.qcow2",
    "snapshot --image-opts -l driver=qcow2,file.filename=@snapshots.qcow2",
    "snapshot @snapshots.qcow2",
    "snapshot -f qcow2 -l @snapshots.qcow2",
    "snapshot --list @snapshots.qcow2",
    "snapshot -l @missing",
    "snapshot -l",
    "snapshot",
    "snapshot -c",
    "snapshot -c x",
    "snapshot -c x @snapshots.qcow2 @holes",
    "snapshot -l -c x @snapshots.qcow2",
    "snapshot -c x -a one @snapshots.qcow2",
    "snapshot -c x -c y @snapshots.qcow2",
    "snapshot -U -c x @snapshots.qcow2",
    "snapshot -x @snapshots.qcow2",
    "snapshot -a nobody @snapshots.qcow2",
    "snapshot -d nobody @snapshots.qcow2",
    "snapshot -d 1 @snapshots.qcow2",
    "snapshot -c x --image-opts driver=raw,file.filename=@holes",
    "snapshot -a x @top.qed",
    "snapshot -d x @alone.qed",
    "snapshot -c x @external.qcow2",
    "snapshot -a x @external.qcow2",
    "snapshot -d x @external.qcow2",
    "snapshot -c x @narrow.qcow2",
    "measure -O qcow2 -l one @snapshots.qcow2",
    "measure -O raw -l snapshot.name=grün @snapshots.qcow2",
    "measure -O raw -l nobody @snapshots.qcow2",
    "measure -O raw -l one @holes",
  ])("%s", sameAsTheirs);
});

describe("words that are refused", () => {
  it.each([
    "",
    "nonsense",
    "create",
    "create -f",
    "create -x",
    "create -f qcow2 @new",
    "create -f qcow2 @new x",
    "create -f qcow2 @new 1X",
    "create -f qcow2 @new 1M 2M",
    "create -f nonsense @new 1M",
    "create -f qcow2 -o nonsense=1 @new 1M",
    "create -f qcow2 -o size=1M @new 1M",
    "create -f qcow2 -o lazy_refcounts=maybe @new 1M",
    "create -f qcow2 -b base.qcow2 @new",
    "create -f qcow2 -b missing -F raw @new",
    "create -f raw -b base.qcow2 -F qcow2 @new",
    "resize @holes",
    "resize @holes 1M 2M",
    "resize -f raw @holes x",
    "resize -f raw @holes +",
    "resize -f raw @holes 1M",
    "resize -f raw @holes -1M",
    "resize -f raw --shrink @holes -1G",
    "resize --preallocation=nonsense -f raw @holes 10M",
    "resize --preallocation=full -f raw @holes 1M",
    "resize @missing 1M",
    "convert @holes",
    "convert -O nonsense @holes @new",
    "convert @missing @new",
    "convert -m 17 @holes @new",
    "convert -m 0 @holes @new",
    "convert -S 1000 @holes @new",
    "convert -S x @holes @new",
    "convert -t nonsense @holes @new",
    "convert -T nonsense @holes @new",
    "convert -n -O raw @holes @missing",
    "convert -n -O raw @holes @odd",
    "convert -n -o size=1M @holes @new",
    "convert --target-is-zero @holes @new",
    "convert --target-image-opts @holes driver=raw,file.filename=@odd",
    "convert -O qcow2 -B base.qcow2 @middle.qcow2 @new",
    "convert -O qcow2 -B base.qcow2 -F qcow2 @holes @odd @new",
    "convert -O raw -B base.qcow2 -F qcow2 @middle.qcow2 @new",
    "convert @holes /nonexistent/new",
    "convert -l nobody -O raw @snapshots.qcow2 @new",
    "convert -l snapshot.id=one -O raw @snapshots.qcow2 @new",
    "convert -l snapshot.nonsense=1 -O raw @snapshots.qcow2 @new",
    "convert -l one -O raw @snapshots.qcow2 @snapshots.qcow2 @new",
    "convert -l one -O raw @holes @new",
    "check @holes",
    "check --output=json @holes",
    "check -r nonsense @base.qcow2",
    "check -T nonsense @base.qcow2",
    "check -f qed @base.qcow2",
    "check @missing",
    "bench",
    "bench @missing",
    "bench -c x @holes",
    "bench -d x @holes",
    "bench -s x @holes",
    "bench -S x @holes",
    "bench -o x @holes",
    "bench -w --pattern=256 -f raw @holes",
    "bench --flush-interval=10 @holes",
    "bench -w --flush-interval=10 -f raw @holes",
    "bench -i nonsense @holes",
    "bench -t nonsense @holes",
  ])("%s", sameAsTheirs);
});
