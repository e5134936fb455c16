/** Describes an image so that none of the files that it names is opened: for commands that look at images of unknown origin. */

import { parseFileName, wantedFor, type BlockGraph, type BlockNode, type DescribedNode, type DriverEntry } from "@coblock/core";
import { DRIVERS } from "./drivers.ts";

/** Options of formats for files that an image may name. */
const NAMED_FILES = ["backing", "dataFile"];
/** Formats are told by this many bytes at the start of a file. */
const PROBE_LENGTH = 2048;

/** `options` with each named file that they leave to the image left out. A plain name is of format `format`, or probed. */
export async function describeAlone(
  graph: BlockGraph,
  options: string | DescribedNode,
  format: string | undefined,
  readOnly: boolean,
): Promise<DescribedNode> {
  const described = typeof options === "string" ? await describeName(graph, options, format, readOnly) : options;
  const { optionNames } = await graph.driver(described.driver);
  const closed = NAMED_FILES.filter((name) => optionNames.includes(name) && !(name in described)).map((name) => [name, null]);
  return { ...described, ...Object.fromEntries(closed) } as DescribedNode;
}

/** A name as the driver that it is opened with, of format `format`, or probed. */
export async function describeName(graph: BlockGraph, name: string, format: string | undefined, readOnly: boolean): Promise<DescribedNode> {
  const parsed = parseFileName(name);
  if (parsed.kind === "json") return parsed.options as unknown as DescribedNode;
  const server = format === undefined ? serverOf(parsed.protocol) : undefined;
  if (server !== undefined) {
    // It stays open for the image, as long as the command runs: a second connection may be one too many.
    const file = await graph.open(name, { driver: server.name, readOnly });
    return { driver: await formatOf(file), file } as unknown as DescribedNode;
  }
  const driver = format ?? (await probe(graph, name));
  const isProtocol = DRIVERS.some((entry) => entry.name === driver && entry.kind === "protocol");
  return (isProtocol ? { driver, filename: parsed.path } : { driver, file: name }) as DescribedNode;
}

/** The protocol that connects to a server. */
function serverOf(scheme: string | undefined): DriverEntry | undefined {
  if (scheme === undefined) return undefined;
  return DRIVERS.find(({ connects, name, schemes = [] }) => connects === true && (name === scheme || schemes.includes(scheme)));
}

async function probe(graph: BlockGraph, name: string): Promise<string> {
  await using file = await graph.open({ driver: "raw", file: name }, { readOnly: true, forceShare: true });
  return await formatOf(file);
}

async function formatOf(file: BlockNode): Promise<string> {
  const head = new Uint8Array(Math.min(PROBE_LENGTH, file.size));
  await file.read(0, head).catch((error: unknown) => {
    throw wantedFor("format", error);
  });
  let best = { name: "raw", score: 0 };
  for (const entry of DRIVERS) {
    const score = entry.kind === "format" ? (entry.probe?.(head, file.fileName) ?? 0) : 0;
    if (score > best.score) best = { name: entry.name, score };
  }
  return best.name;
}
