import { describe, expect, test } from "vitest";
import type { CreateContext, ImageCreation } from "../creation.ts";
import type { DriverEntry } from "../driver.ts";
import { BlockError } from "../errors.ts";
import { LabDisk } from "../fixture/lab-disk.ts";
import { labDriver, labOptions } from "../fixture/lab.ts";
import { BlockGraph } from "../graph.ts";

const CREATE_OPTIONS = [
  { name: "cluster_size", type: "size", help: "", defaultValue: 65_536 },
  { name: "count", type: "number", help: "" },
  { name: "lazy", type: "flag", help: "", defaultValue: false },
  { name: "label", type: "text", help: "" },
  { name: "mode", type: "choice", choices: ["a", "b"], help: "" },
] as const;

interface Setting {
  readonly graph: BlockGraph;
  readonly files: Map<string, LabDisk>;
  readonly creations: ImageCreation[];
}

function setUp(
  create: (creation: ImageCreation, context: CreateContext) => Promise<void> = async ({ filename, size }, context) =>
    void (await context.createFile(filename, size)),
): Setting {
  const files = new Map<string, LabDisk>();
  const creations: ImageCreation[] = [];
  const file = labDriver(
    "file",
    "protocol",
    async ({ filename }) => files.get(String(filename)) ?? Promise.reject(new BlockError("NOT_FOUND", "no such file")),
  );
  const withCreate = (entry: DriverEntry, more: object): DriverEntry => ({
    ...entry,
    load: async () => ({ ...(await entry.load()), ...more }),
  });
  const makeFile = async ({ filename, size }: ImageCreation): Promise<void> => void files.set(filename, new LabDisk(size));
  const record = async (creation: ImageCreation, context: CreateContext): Promise<void> => {
    creations.push(creation);
    await create(creation, context);
  };
  const none = (): Promise<never> => Promise.reject(new Error("not opened here"));
  const drivers = [
    withCreate(file, { create: makeFile }),
    withCreate(labDriver("fmt", "format", none), { createOptions: CREATE_OPTIONS, create: record }),
    labDriver("fixed", "format", none),
    labDriver("unmade", "protocol", none),
    labDriver("rigid", "protocol", async () => ({
      size: 10,
      limits: { requestAlignment: 1 },
      read() {},
      write() {},
      async [Symbol.asyncDispose]() {},
    })),
  ];
  return { graph: new BlockGraph({ drivers }), files, creations };
}

describe("options", () => {
  test("defaults are filled in, what is given and what is not", async () => {
    const { graph, creations } = setUp();
    await graph.create({ driver: "fmt", filename: "x", size: 100, values: { cluster_size: 512, mode: "b", label: "" } });
    expect(creations).toEqual([{ filename: "x", size: 100, values: { cluster_size: 512, lazy: false, mode: "b", label: "" } }]);
  });

  test.each([
    [{ colour: "red" }, "Invalid parameter 'colour'"],
    [{ cluster_size: -1 }, "Invalid parameter 'cluster_size'"],
    [{ cluster_size: 0.5 }, "Invalid parameter 'cluster_size'"],
    [{ cluster_size: "64k" }, "Invalid parameter 'cluster_size'"],
    [{ count: "1" }, "Invalid parameter 'count'"],
    [{ lazy: "on" }, "Invalid parameter 'lazy'"],
    [{ label: 5 }, "Invalid parameter 'label'"],
    [{ mode: "c" }, "'c' is not one of a, b"],
    [{ constructor: "x" }, "Invalid parameter 'constructor'"],
  ])("%j is refused, and nothing is made", async (values, message) => {
    const { graph, files, creations } = setUp();
    const failure = await graph.create({ driver: "fmt", filename: "x", size: 100, values }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(message) });
    expect([files.size, creations.length]).toEqual([0, 0]);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("a size of %d is refused", async (size) => {
    await expect(setUp().graph.create({ driver: "fmt", filename: "x", size })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("a driver that makes nothing says so", async () => {
    await expect(setUp().graph.create({ driver: "fixed", filename: "x", size: 1 })).rejects.toMatchObject({ code: "UNSUPPORTED_FEATURE" });
  });

  test("a backing file is passed on, not opened", async () => {
    const { graph, creations } = setUp();
    await graph.create({ driver: "fmt", filename: "x", size: 1, backing: { filename: "nowhere", format: "raw" } });
    await graph.create({ driver: "fmt", filename: "x", size: 1, backing: { filename: "nowhere" } });
    expect(creations.map(({ backing }) => backing)).toEqual([
      { filename: "nowhere", format: "raw" },
      { filename: "nowhere", format: undefined },
    ]);
  });
});

describe("files", () => {
  test("are made by the protocol of their name, and closed afterwards", async () => {
    const { graph, files } = setUp();
    await graph.create({ driver: "fmt", filename: "file:x", size: 100 });
    expect([files.get("x")?.size, files.get("x")?.closed, graph.inspect().nodes]).toEqual([100, 1, []]);
  });

  test.each(["gopher:x", "unmade:x", 'json:{"driver":"file"}'])("%s is no place for one", async (filename) => {
    await expect(setUp().graph.create({ driver: "fmt", filename, size: 100 })).rejects.toThrow(
      `'${filename}' is no place to create an image`,
    );
  });

  test("are closed when making the image fails", async () => {
    const failure = new BlockError("NO_SPACE", "full");
    const { graph, files } = setUp(async ({ filename, size }, context) => {
      await context.createFile(filename, size);
      await context.createFile(`${filename}.data`, size);
      throw failure;
    });
    await expect(graph.create({ driver: "fmt", filename: "x", size: 1 })).rejects.toBe(failure);
    expect([files.get("x")?.closed, files.get("x.data")?.closed, graph.inspect().nodes]).toEqual([1, 1, []]);
  });

  test("an open node is formatted in place: emptied, then given its size", async () => {
    const { graph, files } = setUp();
    const disk = new LabDisk(1000);
    disk.bytes.fill(7);
    files.set("y", disk);
    await using file = await graph.open(labOptions({ driver: "file", filename: "y" }));
    await graph.create({ driver: "fmt", filename: "x", size: 300, file });
    expect(disk.bytes).toEqual(new Uint8Array(300));
    expect(disk.closed, "it is the caller's").toBe(0);
  });

  test("a node that cannot be resized is given back", async () => {
    const { graph } = setUp();
    await expect(graph.create({ driver: "fmt", filename: "x", size: 300, file: labOptions({ driver: "rigid" }) })).rejects.toMatchObject({
      code: "UNSUPPORTED_FEATURE",
    });
    expect(graph.inspect().nodes).toEqual([]);
  });
});
