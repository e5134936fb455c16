import { describe, expect, it } from "vitest";
import { parseNumber, parsePattern } from "./number.ts";
import { describeRequest, dumpBytes, formatQuantity } from "./report.ts";

describe("what is printed", () => {
  it("of a request", () => {
    const report = { verb: "wrote", offset: 512, length: 1536, elapsedMs: 61_030, machine: false } as const;
    expect(describeRequest(report)).toBe(
      "wrote 1536/1536 bytes at offset 512\n1.500 KiB, 1 ops; 0:01:01.03 (25.167950 bytes/sec and 0.0164 ops/sec)\n",
    );
    expect(describeRequest({ ...report, elapsedMs: 10 })).toContain("; 00.01 sec (150 KiB/sec and 100.0000 ops/sec)\n");
    expect(describeRequest({ ...report, elapsedMs: 10, machine: true })).toBe("1536,1,0:00:00.01,153600.000,100.000\n");
  });

  it.each([
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [0.5, "0.500000 bytes"],
    [1024, "1 KiB"],
    [1536, "1.500 KiB"],
    [1_049_088, "1 MiB"],
    [5 * 1024 ** 3, "5 GiB"],
  ])("of %d bytes", (bytes, text) => expect(formatQuantity(bytes)).toBe(text));

  it("of the bytes", () => {
    const bytes = Buffer.from("abc 0123456789 xyz~");
    expect(dumpBytes(bytes, 16)).toBe(
      "00000010:  61 62 63 20 30 31 32 33 34 35 36 37 38 39 20 78  abc.0123456789.x\n00000020:  79 7a 7e  yz.\n",
    );
  });
});

describe("numbers", () => {
  it.each([
    ["0x200", 512],
    ["1.5k", 1536],
    ["1.0000001k", 1024],
    ["+1", 1],
    ["010", 10],
    ["7E", 7 * 1024 ** 6],
  ])("%s", (text, bytes) => expect(parseNumber(text)).toBe(bytes));
  it.each(["", "x", "-1", "0.5", ".5k", "1kk", "1e3"])("%j is none", (text) =>
    expect(() => parseNumber(text)).toThrow("non-numeric argument"),
  );
  it("8E is too large", () => expect(() => parseNumber("8E")).toThrow("argument too large"));
  it.each([
    ["0xff", 255],
    ["017", 15],
    ["0", 0],
  ])("pattern %s", (text, byte) => expect(parsePattern(text)).toBe(byte));
  it.each(["256", "-1", "x", "08", "1k"])("%j is no pattern", (text) =>
    expect(() => parsePattern(text)).toThrow("not a valid pattern byte"),
  );
});
