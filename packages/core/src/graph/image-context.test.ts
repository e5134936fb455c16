import { describe, expect, test } from "vitest";
import { type ChainHeader, LabFiles } from "../fixture/lab-files.ts";
import { labOptions } from "../fixture/lab.ts";
import { BlockGraph } from "../graph.ts";
import type { ImplicitOpen, ImplicitOpenRule } from "./graph-parts.ts";

function setUp(
  implicitOpen: ImplicitOpenRule | undefined,
  images: Readonly<Record<string, ChainHeader | null>>,
): { readonly files: LabFiles; readonly graph: BlockGraph } {
  const files = new LabFiles();
  for (const [name, header] of Object.entries(images)) {
    if (header === null) files.plain(name);
    else files.chain(name, header);
  }
  return { files, graph: new BlockGraph({ drivers: files.drivers, ...(implicitOpen === undefined ? {} : { implicitOpen }) }) };
}

describe("whether an image may open what it names", () => {
  const images = { "dir/a": { backing: { filename: "b", format: "plain" } }, "dir/b": null };

  test.each([undefined, "deny"] as const)("not if the rule is %s", async (rule) => {
    const { files, graph } = setUp(rule, images);
    await expect(graph.open("dir/a")).rejects.toThrow(
      "'dir/a' names 'dir/b' as its backing file, and opening files that an image names is not allowed here (implicitOpen)",
    );
    expect(files.log).not.toContain("open dir/b");
    expect(graph.inspect().nodes).toEqual([]);
  });

  test("with leave, beside the image", async () => {
    const { graph } = setUp("allow", images);
    await using node = await graph.open("dir/a");
    expect(node.children.get("backing")?.fileName).toBe("dir/b");
  });

  test("a function is asked, with what it needs to decide", async () => {
    const asked: ImplicitOpen[] = [];
    let answer = true;
    const { graph } = setUp((request) => (asked.push(request), answer), images);
    await using _node = await graph.open("dir/a");
    expect(asked).toEqual([{ image: "dir/a", role: "backing", target: "dir/b", format: "plain" }]);
    answer = false;
    await expect(graph.open("dir/a")).rejects.toMatchObject({ code: "NOT_ALLOWED" });
  });

  test("a data file is asked for as well", async () => {
    const { graph } = setUp("deny", { a: { dataFile: { filename: "data" } }, data: null });
    await expect(graph.open("a")).rejects.toThrow("'a' names 'data' as its data file");
  });

  test("what the caller describes needs no leave", async () => {
    const { graph } = setUp("deny", { ...images, c: null });
    await using node = await graph.open("dir/a", { backing: "c" });
    expect(node.children.get("backing")?.node.driver).toBe("plain");
    await using _alone = await graph.open("dir/a", { backing: null });
  });
});

describe("names in images are plain paths or URLs", () => {
  test.each(['json:{"driver":"file","filename":"secret"}', "gopher://host", "chain:x", "a\0b"])("%j is refused", async (filename) => {
    const { files, graph } = setUp("allow", { a: { backing: { filename } }, secret: null });
    await expect(graph.open("a")).rejects.toMatchObject({
      code: "NOT_ALLOWED",
      message: expect.stringContaining("no plain path or URL of a known protocol"),
    });
    expect(files.log).not.toContain("open secret");
  });

  test.each(['file:json:{"driver":"file","filename":"secret"}', "file:other:secret", "file:file:secret"])(
    "%j is the name of a file, whatever it looks like",
    async (filename) => {
      const { files, graph } = setUp("allow", { a: { backing: { filename } }, secret: null, "other:secret": null });
      await expect(graph.open("a")).rejects.toMatchObject({
        code: "NOT_FOUND",
        message: `there is no './${filename.slice("file:".length)}'`,
      });
      expect(files.log.filter((line) => line.includes("secret"))).toEqual([]);
    },
  );

  test("a folder that looks like a protocol is a folder", async () => {
    const { files, graph } = setUp("allow", { "other:dir/a": { backing: { filename: "b" } }, "other:dir/b": null });
    await expect(graph.open(labOptions({ driver: "chain", file: { driver: "file", filename: "other:dir/a" } }))).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "there is no './other:dir/b'",
    });
    expect(files.log).not.toContain("open other:dir/b");
  });

  test("a known protocol is used", async () => {
    const { graph } = setUp("allow", { a: { backing: { filename: "other:b" } }, "other:b": null });
    await using node = await graph.open("a");
    expect(node.children.get("backing")?.node.children.get("file")?.node.driver).toBe("other");
  });

  test("a format that is named is not probed, one that is unknown is refused", async () => {
    const { graph } = setUp("allow", {
      a: { backing: { filename: "b", format: "plain" } },
      b: { broken: true },
      c: { backing: { filename: "b", format: "vmdk" } },
    });
    await using node = await graph.open("a");
    expect(node.children.get("backing")?.node.driver).toBe("plain");
    await expect(graph.open("c")).rejects.toThrow("Unknown driver 'vmdk'");
  });
});

describe("chains", () => {
  test.each([
    ["an image that is its own backing file", { a: { backing: { filename: "a" } } }],
    ["two that name each other", { a: { backing: { filename: "b" } }, b: { backing: { filename: "a" } } }],
    ["three", { a: { backing: { filename: "b" } }, b: { backing: { filename: "c" } }, c: { backing: { filename: "b" } } }],
  ] as const)("a loop is refused: %s", async (_name, images) => {
    const { graph } = setUp("allow", images);
    await expect(graph.open("a")).rejects.toMatchObject({
      code: "NOT_ALLOWED",
      message: expect.stringContaining("The backing chain is a loop"),
    });
    expect(graph.inspect().nodes).toEqual([]);
  });

  test("an image that is its own data file is refused", async () => {
    const { graph } = setUp("allow", { a: { dataFile: { filename: "a" } } });
    await expect(graph.open("a")).rejects.toMatchObject({ code: "NOT_ALLOWED", message: expect.stringContaining("loop") });
  });

  test("a loop through another name of the same file is refused", async () => {
    const { files, graph } = setUp("allow", { a: { backing: { filename: "link" } }, link: { backing: { filename: "c" } }, c: null });
    const drivers = files.drivers.map((entry) =>
      entry.name !== "file"
        ? entry
        : {
            ...entry,
            load: async () => ({
              ...(await entry.load()),
              open: async (options: never, context: never) =>
                Object.assign(await (await entry.load()).open(options, context), { identity: "inode 1" }),
            }),
          },
    );
    const sameInode = new BlockGraph({ drivers, implicitOpen: "allow" });
    await expect(sameInode.open("a")).rejects.toThrow("The backing chain is a loop");
    await using _different = await graph.open("a");
  });

  test("one file may back two images that are not above each other", async () => {
    const { graph } = setUp("allow", { a: { backing: { filename: "c" } }, b: { backing: { filename: "c" } }, c: null });
    await using _first = await graph.open("a");
    await using _second = await graph.open("b");
  });

  test("200 images are opened, 201 are not", async () => {
    for (const count of [200, 201]) {
      const images = Object.fromEntries(
        [...Array(count).keys()].map((index) => [
          `i${index}`,
          index === count - 1 ? {} : { backing: { filename: `i${index + 1}`, format: "chain" } },
        ]),
      );
      const { graph } = setUp("allow", images);
      if (count === 200) await (await graph.open("i0"))[Symbol.asyncDispose]();
      else
        await expect(graph.open("i0")).rejects.toMatchObject({
          code: "NOT_ALLOWED",
          message: expect.stringContaining("longer than 200 images"),
        });
      expect(graph.inspect().nodes).toEqual([]);
    }
  });
});

test("exclusive mode is for images that are open: not while they are being opened", async () => {
  const { files, graph } = setUp("allow", { a: { broken: true } });
  await expect(graph.open("a")).rejects.toThrow("a is broken");
  await expect(files.contexts.get("a")?.exclusive(() => Promise.resolve())).rejects.toThrow("exclusive mode is for images that are open");
});
