import { describe, expect, it } from "vitest";
import { hostGraph, qemuCreate, qemuImg, TemporaryDirectory } from "../test/images.ts";

describe("info tells what qemu-img tells, in its order", () => {
  it.each([
    "",
    "compat=0.10",
    "lazy_refcounts=on",
    "refcount_bits=1,cluster_size=512",
    "extended_l2=on",
    "compression_type=zstd",
    "data_file=data",
    "data_file=data,data_file_raw=on",
  ])("%s", async (options) => {
    using folder = new TemporaryDirectory();
    const file = qemuCreate(folder.file("image"), "1M", options.replace("data_file=data", `data_file=${folder.file("data")}`));
    if (!options.includes("data_file") && !options.includes("0.10")) {
      qemuImg("bitmap", "--add", file, "first");
      qemuImg("bitmap", "--add", "--disable", "-g", "4096", file, "second");
    }
    if (!options.includes("data_file")) qemuImg("snapshot", "-c", "before", file);
    const theirs = JSON.parse(qemuImg("info", "--output=json", file)) as Record<string, unknown>;
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true });
    const info = await disk.info();
    expect(JSON.stringify(info.formatSpecific)).toBe(JSON.stringify(theirs["format-specific"]));
    expect(info.clusterSize).toBe(theirs["cluster-size"]);
    expect(info.dirty).toBe(theirs["dirty-flag"]);
    expect(info.snapshots?.map(({ id, name, dateSeconds }) => ({ id, name, dateSeconds }))).toEqual(
      ((theirs["snapshots"] ?? []) as { id: string; name: string; "date-sec": number }[]).map((snapshot) => ({
        id: snapshot.id,
        name: snapshot.name,
        dateSeconds: snapshot["date-sec"],
      })),
    );
  });

  it("names the backing file as the image does, and opens it not at all", async () => {
    using folder = new TemporaryDirectory();
    const file = folder.file("image");
    qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", "no such base", "-F", "raw", file, "1M");
    await using graph = hostGraph();
    await using disk = await graph.open(file, { readOnly: true, backing: null });
    expect((await disk.info()).backing).toEqual({ filename: "no such base", format: "raw" });
  });
});
