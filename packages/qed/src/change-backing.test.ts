import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hostGraph, qemuCheck, qemuImg, qemuIo, TemporaryDirectory } from "./test/images.ts";

/** As qemu-img reads it. */
function namedIn(file: string): { readonly filename: string | undefined; readonly format: string | undefined } {
  const info = JSON.parse(qemuImg("info", "-U", "-f", "qed", "--output=json", file)) as Record<string, string>;
  return { filename: info["backing-filename"], format: info["backing-filename-format"] };
}

describe("another backing file", () => {
  test("is named by names of every length, one after the other", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2", file, "4M");
    qemuIo(file, "write -P 5 3M 8k");
    await using graph = hostGraph();
    const disk = await graph.open({ driver: "qed", file, backing: null });
    const lengths = [448, 449, 1, 1023, 700, 1023, 448, 1023, 0, 500, 7, 0];
    for (const [index, length] of lengths.entries()) {
      const filename = String.fromCharCode(97 + index).repeat(length);
      const format = index % 2 === 0 ? "raw" : "qcow2";
      await disk.changeBacking(length === 0 ? undefined : { filename, format });
      const expected = { filename: length === 0 ? undefined : filename, format: length > 0 && format === "raw" ? "raw" : undefined };
      expect(namedIn(file)).toEqual(expected);
      expect((await disk.info()).backing?.filename).toBe(expected.filename);
    }
    await disk[Symbol.asyncDispose]();
    expect(qemuCheck(file)).toEqual(expect.not.objectContaining({ corruptions: expect.anything() }));
  });

  test("is refused where its name is too long, or features yet unknown may use its place, and nothing is written", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("image.qed");
    qemuImg("create", "-q", "-f", "qed", file, "4M");
    await using graph = hostGraph();
    {
      await using disk = await graph.open(file);
      await expect(disk.changeBacking({ filename: "x".repeat(1024) })).rejects.toThrow(
        "the backing file name has 1024 bytes, more than 1023",
      );
    }
    const bytes = readFileSync(file);
    bytes.writeUInt8(1, 24);
    writeFileSync(file, bytes);
    await using disk = await graph.open(file);
    await expect(disk.changeBacking({ filename: "x" })).rejects.toThrow("features yet unknown");
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });

  test("shows where the image has nothing, as soon as it is named", async () => {
    using directory = new TemporaryDirectory();
    const [file, first, second] = [directory.file("image.qed"), directory.file("first"), directory.file("second")];
    writeFileSync(first, Buffer.alloc(8192, 1));
    writeFileSync(second, Buffer.alloc(4096, 2));
    qemuImg("create", "-q", "-f", "qed", "-b", first, "-F", "raw", "-o", "cluster_size=4k,table_size=2", file);
    await using graph = hostGraph();
    await using disk = await graph.open(file);
    const byteAt = async (offset: number): Promise<number | undefined> => {
      const bytes = new Uint8Array(1);
      await disk.read(offset, bytes);
      return bytes[0];
    };
    expect([await byteAt(0), await byteAt(5000)]).toEqual([1, 1]);
    await expect(disk.changeBacking({ filename: second, format: "raw" })).rejects.toThrow("must be open too");
    {
      await using node = await graph.open(second, { driver: "raw", readOnly: true });
      await disk.changeBacking({ filename: second, format: "raw", node });
    }
    expect([await byteAt(0), await byteAt(5000)]).toEqual([2, 0]);
    await disk.write(100, Buffer.alloc(10, 9));
    await using itself = await graph.open(file, { readOnly: true, forceShare: true });
    await expect(disk.changeBacking({ filename: file, node: itself })).rejects.toThrow("stacked on the image itself");
    await disk.changeBacking(undefined);
    expect([await byteAt(0), await byteAt(5000)]).toEqual([2, 0]);
  });
});
