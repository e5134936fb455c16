import { describe, expect, test } from "vitest";
import { BlockError } from "@coblock/core";
import { CHUNK, nameOfCode, OPTION } from "./codes.ts";
import { decodeBlockStatus, decodeError, decodeHole, encodeBlockStatus, encodeError, encodeHole } from "./chunk.ts";
import { errnoOf, meaningOf } from "./error-number.ts";
import { decodeExportInfo, decodeInfoRequest, encodeExportInfo, encodeInfoRequest, type ExportInfo } from "./export-info.ts";
import { decodeListedExport, encodeListedExport } from "./listed-export.ts";
import { decodeMetaContextRequest, encodeMetaContextRequest } from "./meta-context.ts";
import { decodeRequest, encodeRequest } from "./request.ts";
import { decodeReply, replyHeaderLength, writeChunkHeader, writeSimpleReply } from "./reply.ts";

describe("what one side encodes the other decodes", () => {
  const infos: readonly ExportInfo[] = [
    { kind: "export", size: 2 ** 53 - 1, flags: 0x1fff },
    { kind: "name", text: "é" },
    { kind: "description", text: "" },
    { kind: "blockSize", minimum: 1, preferred: 65_536, maximum: 2 ** 32 - 1 },
  ];
  test.each(infos)("$kind", (info) => expect(decodeExportInfo(encodeExportInfo(info))).toEqual(info));

  test("options", () => {
    const info = { name: "disk", wanted: [0, 3, 99] };
    expect(decodeInfoRequest(encodeInfoRequest(info))).toEqual(info);
    const contexts = { exportName: "x", queries: ["base:", "qemu:dirty-bitmap:a b"] };
    expect(decodeMetaContextRequest(encodeMetaContextRequest(contexts))).toEqual(contexts);
    const listed = { name: "n", description: "d" };
    expect(decodeListedExport(encodeListedExport(listed))).toEqual(listed);
    expect(decodeExportInfo(Buffer.from([0, 77, 1, 2, 3]))).toBeUndefined();
  });

  test.each([false, true])("requests, extended: %s", (extended) => {
    const request = {
      flags: 0x21,
      command: 6,
      cookieHigh: 0xffffffff,
      cookieLow: 7,
      offset: 2 ** 52 + 3,
      length: extended ? 2 ** 40 : 2 ** 32 - 1,
    };
    expect(decodeRequest(encodeRequest(request, extended), extended)).toEqual(request);
    expect(() => decodeRequest(encodeRequest(request, extended), !extended)).toThrow(/magic number/);
  });

  test("offsets that JavaScript cannot count are beyond every disk", () => {
    const bytes = encodeRequest({ flags: 0, command: 0, cookieHigh: 0, cookieLow: 0, offset: 0, length: 1 }, false);
    bytes.writeBigUInt64BE(2n ** 64n - 1n, 16);
    expect(decodeRequest(bytes, false).offset).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("replies in the style that was agreed on, and in no other", () => {
    const cookie = { cookieHigh: 1, cookieLow: 2 };
    const simple = Buffer.alloc(16);
    writeSimpleReply(simple, 0, cookie, 5);
    expect(decodeReply(simple)).toEqual({ kind: "simple", error: 5, ...cookie });
    expect(() => replyHeaderLength(simple, "extended")).toThrow(/not how extended replies begin/);
    for (const extended of [false, true]) {
      const bytes = Buffer.alloc(32);
      const chunk = { flags: 1, type: CHUNK.data, length: 4096, requestOffset: 2 ** 40, ...cookie };
      const length = writeChunkHeader(bytes, 0, chunk, extended);
      expect(replyHeaderLength(bytes, extended ? "extended" : "structured")).toBe(length);
      expect(() => replyHeaderLength(bytes, "simple")).toThrow(/not how simple replies begin/);
      expect(decodeReply(bytes.subarray(0, length))).toEqual({ kind: "chunk", flags: 1, type: CHUNK.data, length: 4096, ...cookie });
    }
  });

  test("chunks", () => {
    expect(decodeHole(encodeHole(2 ** 40, 512))).toEqual({ offset: 2 ** 40, length: 512 });
    expect(decodeError(encodeError(28, "voll"), false)).toEqual({ errno: 28, message: "voll" });
    const status = {
      contextId: 9,
      extents: [
        { length: 512, flags: 3 },
        { length: 4096, flags: 0 },
      ],
    };
    for (const extended of [false, true]) expect(decodeBlockStatus(encodeBlockStatus(status, extended), extended)).toEqual(status);
  });
});

test("strings with bytes that are no text are refused", () => {
  const named = (bytes: readonly number[]): Buffer => Buffer.from([0, 0, 0, bytes.length, ...bytes, 0, 0]);
  expect(() => decodeInfoRequest(named([0xff]))).toThrow(/not UTF-8/);
  expect(() => decodeInfoRequest(named([0x61, 0]))).toThrow(/zero byte/);
  expect(decodeInfoRequest(named([0xef, 0xbb, 0xbf])).name).toBe("\ufeff");
});

test("errors keep their meaning across the wire", () => {
  for (const code of ["NO_SPACE", "UNSUPPORTED_FEATURE", "IO"] as const)
    expect(meaningOf(errnoOf(new BlockError(code, ""))).code).toBe(code);
  expect(errnoOf(new BlockError("READ_ONLY", ""))).toBe(1);
  expect(errnoOf(new Error("anything"))).toBe(5);
  expect(meaningOf(4711).words).toMatch(/Invalid argument \(unknown error 4711\)/);
  expect(nameOfCode(OPTION, OPTION.setMetaContext)).toBe("SET_META_CONTEXT");
});
