import { describe, expect, test } from "vitest";
import { BlockError } from "../errors.ts";
import { LabFiles } from "../fixture/lab-files.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { labDriver, labOptions } from "../fixture/lab.ts";
import { BlockGraph } from "../graph.ts";

function setUp(): { readonly files: LabFiles; readonly graph: BlockGraph } {
  const files = new LabFiles();
  return { files, graph: new BlockGraph({ drivers: files.drivers, implicitOpen: "allow" }) };
}

function opened(files: LabFiles): string[] {
  const open = files.log.filter((line) => line.startsWith("open ") && !line.startsWith("open image"));
  const closed = files.log.filter((line) => line.startsWith("close ") && !line.startsWith("close image"));
  for (const line of closed) open.splice(open.indexOf(line.replace("close", "open")), 1);
  return open;
}

describe("plain names", () => {
  test("are probed, and the probe leaves nothing open", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    files.plain("b");
    await using first = await graph.open("a");
    await using second = await graph.open("file:b");
    expect([first.driver, first.children.get("file")?.node.driver, second.driver]).toEqual(["chain", "file", "plain"]);
    expect(opened(files)).toEqual(["open a", "open b"]);
  });

  test("a file shorter than what a probe looks at is probed all the same", async () => {
    const { files, graph } = setUp();
    files.files.set("short", new LabDisk(3));
    files.files.set("empty", new LabDisk(0));
    expect((await graph.open("short")).driver).toBe("plain");
    expect((await graph.open("empty")).driver).toBe("plain");
    await graph[Symbol.asyncDispose]();
  });

  test("a server is connected to once, also to be probed, and the connection ends with the image", async () => {
    const { files } = setUp();
    files.chain("a");
    const drivers = files.drivers.map((entry) => (entry.name === "file" ? { ...entry, connects: true as const } : entry));
    const graph = new BlockGraph({ drivers, implicitOpen: "allow" });
    const node = await graph.open("a");
    expect(node.driver).toBe("chain");
    expect(files.log.filter((line) => line === "open a")).toHaveLength(1);
    await node[Symbol.asyncDispose]();
    expect(opened(files)).toEqual([]);
    expect(graph.inspect().nodes).toEqual([]);
  });

  test("whether it was probed is told to the driver", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    await using _probed = await graph.open("a");
    expect(files.contexts.get("a")?.probed).toBe(true);
    await using _given = await graph.open("a", { driver: "chain" });
    expect(files.contexts.get("a")?.probed).toBe(false);
    await using _described = await graph.open(labOptions({ driver: "chain", file: "a" }));
    expect(files.contexts.get("a")?.probed).toBe(false);
  });

  test("a protocol that nobody knows is refused", async () => {
    const { graph } = setUp();
    await expect(graph.open("gopher://host")).rejects.toThrow("Could not open 'gopher://host': Unknown protocol 'gopher'");
    await expect(graph.open("chain:x")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("a file that is not there is NOT_FOUND", async () => {
    await expect(setUp().graph.open("a")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("a name within options is the file itself, not an image", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    await using node = await graph.open(labOptions({ driver: "plain", file: "a" }));
    expect(node.children.get("file")?.node.driver).toBe("file");
  });

  test("a node name and a backing file may be given along", async () => {
    const { files, graph } = setUp();
    files.chain("a", { backing: { filename: "missing" } });
    files.plain("b");
    await using node = await graph.open("a", { nodeName: "top", backing: "b" });
    expect([graph.node("top"), node.children.get("backing")?.fileName]).toEqual([node, "b"]);
    await using alone = await graph.open("a", { backing: null });
    expect(alone.children.has("backing")).toBe(false);
  });

  test("json: names describe themselves, and contradict nobody", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    await using node = await graph.open('json:{"driver":"plain","file.driver":"file","file.filename":"a","node-name":"n"}');
    expect([node.driver, node.name]).toEqual(["plain", "n"]);
    await using _same = await graph.open('json:{"driver":"plain","file":"a"}', { driver: "plain" });
    await expect(graph.open('json:{"driver":"plain","file":"a"}', { driver: "chain" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("options", () => {
  test.each([
    [{ driver: "chain", file: "a", colour: "red" }, "Driver 'chain' has no option 'colour'; it has filename, file, backing, child"],
    [{ driver: "nonsense" }, "Unknown driver 'nonsense'"],
    [{ file: "a" }, "Unknown driver 'undefined'"],
    [{ driver: "chain" }, "option 'file' is missing"],
    [{ driver: "chain", file: "a", readOnly: "no" }, "Option 'readOnly' cannot be \"no\""],
    [{ driver: "chain", file: "a", discard: "sometimes" }, "Option 'discard' cannot be \"sometimes\""],
    [{ driver: "chain", file: "a", nodeName: 5 }, "Option 'nodeName' cannot be 5"],
    [{ driver: "chain", file: "a", nodeName: "" }, "Option 'nodeName' cannot be \"\""],
    [{ driver: "chain", file: "a", cache: "none" }, "Option 'cache' cannot be \"none\""],
    [{ driver: "chain", file: "a", cache: { noFlush: 1 } }, "Option 'cache.noFlush' cannot be 1"],
    [{ driver: "chain", file: "a", forceShare: true }, "forceShare is for read-only images"],
    [{ driver: "chain", file: { driver: "file", filename: "a", colour: "red" } }, "Driver 'file' has no option 'colour'"],
  ])("%j is refused by name", async (options, message) => {
    const { files, graph } = setUp();
    files.chain("a");
    const failure = await graph.open(labOptions(options as { driver: string })).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(BlockError);
    expect(failure).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(message) });
    expect([opened(files), graph.inspect().nodes]).toEqual([[], []]);
  });

  test("options that are undefined are not given", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    await using _node = await graph.open(labOptions({ driver: "chain", file: "a", colour: undefined }));
  });

  test("a name that is in use is refused, and is free again when its node is closed", async () => {
    const { files, graph } = setUp();
    files.plain("a");
    const named = labOptions({ driver: "file", filename: "a", nodeName: "n" });
    const node = await graph.open(named);
    await expect(graph.open(named)).rejects.toThrow("a node is already called 'n'");
    await node[Symbol.asyncDispose]();
    await using _again = await graph.open(named);
  });

  test("children of a read-only node are read-only, backing files always", async () => {
    const { files, graph } = setUp();
    files.chain("a", { backing: { filename: "b" } });
    files.plain("b");
    await using writable = await graph.open("a");
    const readOnly = ({ children }: typeof writable, name: string): boolean | undefined => children.get(name)?.node.readOnly;
    expect([writable.readOnly, readOnly(writable, "file"), readOnly(writable, "backing")]).toEqual([false, false, true]);
    await using fixed = await graph.open("a", { readOnly: true });
    expect([fixed.readOnly, readOnly(fixed, "file"), readOnly(fixed, "backing")]).toEqual([true, true, true]);
    const contrary = labOptions({ driver: "chain", readOnly: true, file: { driver: "file", filename: "a", readOnly: false } });
    await expect(graph.open(contrary)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    const backing = labOptions({ driver: "chain", file: "a", backing: { driver: "file", filename: "b", readOnly: false } });
    await expect(graph.open(backing)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("a backing file for a driver that takes none is refused", async () => {
    const disk = new LabDisk(10);
    const bare = {
      name: "bare",
      kind: "format",
      load: async () => ({ name: "bare", kind: "format", optionNames: ["file"], open: async () => disk }),
    } as const;
    const files = new LabFiles();
    files.plain("a");
    const graph = new BlockGraph({ drivers: [...files.drivers, bare as never] });
    await expect(graph.open("a", { driver: "bare", backing: "a" })).rejects.toThrow("driver 'bare' has no backing files");
    await using _node = await graph.open("a", { driver: "bare", backing: null });
  });
});

describe("an open that fails", () => {
  test("leaves no child open, and no name taken", async () => {
    const { files, graph } = setUp();
    files.chain("a", { backing: { filename: "b" }, broken: true });
    files.chain("b", { backing: { filename: "c" } });
    files.plain("c");
    await expect(graph.open("a", { nodeName: "n" })).rejects.toThrow("a is broken");
    expect([opened(files), graph.inspect().nodes]).toEqual([[], []]);
    files.chain("a");
    await using _again = await graph.open("a", { nodeName: "n" });
  });

  test("at any depth", async () => {
    const { files, graph } = setUp();
    files.chain("a", { backing: { filename: "b" } });
    files.chain("b", { backing: { filename: "c" } });
    files.chain("c", { broken: true });
    await expect(graph.open("a")).rejects.toThrow("c is broken");
    expect([opened(files), graph.inspect().nodes]).toEqual([[], []]);
  });

  test("when its signal has aborted", async () => {
    const { files, graph } = setUp();
    files.chain("a");
    const reason = new Error("stopped");
    await expect(graph.open("a", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    files.chain("a", { backing: { filename: "b" } });
    files.plain("b");
    const file = files.files.get("a");
    if (file === undefined) throw new Error("a is there");
    file.fails = () => {
      stop.abort(reason);
      return undefined;
    };
    await expect(graph.open("a", { signal: stop.signal })).rejects.toBe(reason);
    expect([opened(files), graph.inspect().nodes]).toEqual([[], []]);
  });

  test("because core cannot work with the image closes the image too", async () => {
    const disk = new LabDisk(10);
    disk.limits = { requestAlignment: 4096, maxTransfer: 512 };
    const graph = new BlockGraph({ drivers: [labDriver("odd", "protocol", async () => disk)] });
    await expect(graph.open(labOptions({ driver: "odd" }))).rejects.toThrow("maxTransfer");
    expect([disk.closed, graph.inspect().nodes]).toEqual([1, []]);
  });
});

describe("nodes that are shared", () => {
  test("stay open until the last holder lets go", async () => {
    const { files, graph } = setUp();
    files.plain("a");
    const file = await graph.open(labOptions({ driver: "file", filename: "a" }));
    const [first, second] = [
      await graph.open(labOptions({ driver: "plain", file })),
      await graph.open(labOptions({ driver: "plain", file })),
    ];
    expect(first.children.get("file")?.node).toBe(file);
    await file[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    await second.read(0, new Uint8Array(1));
    expect(files.log).not.toContain("close a");
    await second[Symbol.asyncDispose]();
    expect(files.log.at(-1)).toBe("close a");
  });

  test("a read-only node serves no writer", async () => {
    const { files, graph } = setUp();
    files.plain("a");
    await using file = await graph.open(labOptions({ driver: "file", filename: "a" }), { readOnly: true });
    await expect(graph.open(labOptions({ driver: "plain", file }))).rejects.toMatchObject({ code: "READ_ONLY" });
    await using _reader = await graph.open(labOptions({ driver: "plain", file }), { readOnly: true });
  });

  test("a node that is closed is shared no more", async () => {
    const { files, graph } = setUp();
    files.plain("a");
    const file = await graph.open(labOptions({ driver: "file", filename: "a" }));
    await file[Symbol.asyncDispose]();
    await expect(graph.open(labOptions({ driver: "plain", file }))).rejects.toMatchObject({ code: "CLOSED" });
  });
});
