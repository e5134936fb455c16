/** Encrypted images with the real qemu-img and with ours: the same words, the same output. */

import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { wordsOf, Workbench } from "./workbench.ts";

const bench = new Workbench();
const SECRET = "--object secret,id=sec0,data=open";
const opened = (name: string): string => `driver=qcow2,file.filename=@${name},encrypt.key-secret=sec0`;
const whole = (name: string): string => `driver=luks,file.filename=@${name},key-secret=sec0`;
const QUICK = "encrypt.format=luks,encrypt.key-secret=sec0,encrypt.iter-time=1";

/** One image is the real program's, which takes seconds of CPU to make it; whose the others are is all the same here. */
beforeAll(async () => {
  writeFileSync(bench.path("content"), Buffer.alloc(300_000, "guest "));
  writeFileSync(bench.path("open"), "open");
  writeFileSync(bench.path("open64"), "b3Blbg==\n");
  writeFileSync(bench.path("line"), "open\n");
  made(`create -q ${SECRET} -f qcow2 -o ${QUICK} @luks.qcow2 4M`);
  made(`create -q ${SECRET} -f qcow2 -o encrypt.format=aes,encrypt.key-secret=sec0 @aes.qcow2 4M`);
  made("create -q -f qcow2 @plain.qcow2 4M");
  const essiv = `${QUICK},encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha1,compat=0.10`;
  for (const line of [
    `create -q ${SECRET} -f qcow2 -o ${essiv} @essiv.qcow2 4M`,
    `create -q ${SECRET} -f luks -o key-secret=sec0,iter-time=10 @disk.luks 1M`,
    `create -q ${SECRET} -f luks -o key-secret=sec0,iter-time=10,cipher-mode=cbc,ivgen-alg=essiv @essiv.luks 1M`,
  ])
    expect(await bench.ours(wordsOf(line))).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  made(`convert ${SECRET} -n -f raw @content --target-image-opts ${opened("luks.qcow2")}`);
});
afterAll(() => bench[Symbol.dispose]());

function made(line: string): void {
  const { exitCode, stderr } = bench.theirs(wordsOf(line));
  if (exitCode !== 0) throw new Error(stderr);
}

describe("the same words tell the same", () => {
  it.each([
    "info @luks.qcow2",
    "info --output=json @luks.qcow2",
    "info @essiv.qcow2",
    "info --output=json @essiv.qcow2",
    "info @aes.qcow2",
    `map ${SECRET} --image-opts ${opened("luks.qcow2")}`,
    `map --output=json ${SECRET} --image-opts ${opened("luks.qcow2")}`,
    `map --output=json --object secret,id=sec0,file=@open --image-opts ${opened("luks.qcow2")}`,
    `map --output=json --object secret,id=sec0,file=@open64,format=base64 --image-opts ${opened("luks.qcow2")}`,
    `map --output=json --object qom-type=secret,id=sec0,data=open --image-opts ${opened("luks.qcow2")}`,
    `map --output=json --object {"qom-type":"secret","id":"sec0","data":"open"} --image-opts ${opened("luks.qcow2")}`,
    `map --output=json ${SECRET} --image-opts ${opened("plain.qcow2")}`,
    `check ${SECRET} --image-opts ${opened("luks.qcow2")}`,
    "info @disk.luks",
    "info --output=json @disk.luks",
    "info --output=json @essiv.luks",
    `map --output=json ${SECRET} --image-opts ${whole("disk.luks")}`,
    `measure ${SECRET} -O luks --size 12345 -o key-secret=sec0,iter-time=10,cipher-alg=aes-128`,
    `resize ${SECRET} --image-opts ${whole("disk.luks")} 2M`,
    `create ${SECRET} -f luks -o iter-time=10,key-secret=sec0 @new.luks 1M`,
    `compare ${SECRET} --image-opts ${opened("luks.qcow2")} ${opened("luks.qcow2")}`,
    `measure ${SECRET} -O qcow2 --size 1G -o ${QUICK},encrypt.cipher-alg=aes-128,cluster_size=4k`,
  ])("%s", async (line) => {
    const theirs = bench.theirs(wordsOf(line));
    const ours = await bench.ours(wordsOf(line));
    expect({ exitCode: ours.exitCode, stdout: ours.stdout }).toEqual({ exitCode: theirs.exitCode, stdout: theirs.stdout });
  });
});

describe("what is wrong is said in qemu-img's words", () => {
  it.each([
    "map @luks.qcow2",
    `convert ${SECRET} -O raw @luks.qcow2 @none`,
    `map --object secret,id=sec0,data=wrong --image-opts ${opened("luks.qcow2")}`,
    `map --object secret,id=sec0,file=@line --image-opts ${opened("luks.qcow2")}`,
    `map --image-opts ${opened("luks.qcow2")}`,
    `map ${SECRET} --image-opts ${opened("luks.qcow2")},encrypt.format=aes`,
    `map ${SECRET} --image-opts ${opened("plain.qcow2")},encrypt.format=luks`,
    "resize @luks.qcow2 8M",
    "resize @disk.luks 8M",
    "check @disk.luks",
    "convert -O raw @disk.luks @none",
    `check ${SECRET} --image-opts ${whole("disk.luks")}`,
    `map ${SECRET} --image-opts ${whole("disk.luks")}`,
    `map --object secret,id=sec0,data=wrong --output=json --image-opts ${whole("disk.luks")}`,
    `create -q -f luks -o iter-time=10 @none 1M`,
    `create -q ${SECRET} -f luks -b @content -F raw -o key-secret=sec0,iter-time=0 @none 1M`,
    "measure -O luks --size 1G",
    "snapshot -c one @luks.qcow2",
    `create ${SECRET} -q -f qcow2 -o encrypt.format=luks @none 1M`,
    "create -q -f qcow2 -o encrypt.format=luks,encrypt.key-secret=sec0 @none 1M",
    "create -q -f qcow2 -o encrypt.key-secret=sec0 @none 1M",
    `create ${SECRET} -q -f qcow2 -o ${QUICK},encrypt.hash-alg=bogus @none 1M`,
    "measure -O qcow2 --size 1G -o encrypt.format=luks",
    "info --object secret,id=s @plain.qcow2",
    "info --object secret,id=s,data=a,file=b @plain.qcow2",
    "info --object secret,id=s,data=a,format=bla @plain.qcow2",
    "info --object secret,data=a @plain.qcow2",
    "info --object id=s,data=a @plain.qcow2",
    "info --object other,id=s,data=a @plain.qcow2",
    "info --object secret,id=s,data=a,colour=1 @plain.qcow2",
    "info --object secret,id=s,data=a --object secret,id=s,data=a @plain.qcow2",
    "info --object secret,id=s,file=/missing @plain.qcow2",
    "info --object secret,id=1s,data=a @plain.qcow2",
  ])("%s", async (line) => {
    const theirs = bench.theirs(wordsOf(line));
    const ours = await bench.ours(wordsOf(line));
    expect(ours.exitCode).toBe(theirs.exitCode);
    expect(ours.stderr).toMatch(/^coblock: [^\n]+\n$/);
    expect(ours.stderr).toContain(essenceOf(theirs.stderr));
  });
});

/** What the message says, without the name of the file and of what the system says of it. */
function essenceOf(stderr: string): string {
  const line = (stderr.split("\n")[0] ?? "").replace(/^qemu-img: /, "").replace(/^Could not open '.*?': |^\/\S+: /, "");
  return line.replace(/: Failed to open file.*/, "");
}

describe("a copy", () => {
  it("into an encrypted image is the same, and out of it again", async () => {
    const line = `convert ${SECRET} -f raw -O qcow2 -o ${QUICK} @content @copy.qcow2`;
    expect(await bench.ours(wordsOf(line))).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    made(`convert ${SECRET} --image-opts ${opened("copy.qcow2")} -O raw @back`);
    expect(
      readFileSync(bench.path("back"))
        .subarray(0, 300_000)
        .equals(readFileSync(bench.path("content"))),
    ).toBe(true);
    expect(readFileSync(bench.path("copy.qcow2")).includes("guest")).toBe(false);
    const out = `convert ${SECRET} --image-opts ${opened("luks.qcow2")} -O raw @ours`;
    expect(await bench.ours(wordsOf(out))).toMatchObject({ exitCode: 0 });
    made(`convert ${SECRET} --image-opts ${opened("luks.qcow2")} -O raw @theirs`);
    expect(readFileSync(bench.path("ours")).equals(readFileSync(bench.path("theirs")))).toBe(true);
  });

  it("into a LUKS disk has zeros where the source has them, and out of it again", async () => {
    const line = `convert ${SECRET} -f raw -O luks -o key-secret=sec0,iter-time=10 @sparse @copy.luks`;
    writeFileSync(bench.path("sparse"), Buffer.concat([Buffer.alloc(200_704), readFileSync(bench.path("content")), Buffer.alloc(99_328)]));
    expect(await bench.ours(wordsOf(line))).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    made(`convert ${SECRET} --image-opts ${whole("copy.luks")} -O raw @back`);
    const source = readFileSync(bench.path("sparse"));
    expect(readFileSync(bench.path("back")).subarray(0, source.length).equals(source)).toBe(true);
    expect(await bench.ours(wordsOf(`convert ${SECRET} --image-opts ${whole("copy.luks")} -O raw @ours`))).toMatchObject({ exitCode: 0 });
    expect(readFileSync(bench.path("ours")).equals(readFileSync(bench.path("back")))).toBe(true);
  });

  it("is not compressed and encrypted at a time", async () => {
    const outcome = await bench.ours(wordsOf(`convert -c ${SECRET} -f raw -O qcow2 -o ${QUICK} @content @none.qcow2`));
    expect(outcome).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/^coblock: [^\n]*ompress[^\n]*\n$/) as string });
  });

  it("says what it makes in qemu-img's line", async () => {
    const line = `create ${SECRET} -f qcow2 -o encrypt.iter-time=1,encrypt.key-secret=sec0,encrypt.format=luks,cluster_size=4k @new.qcow2 1M`;
    const { stdout } = await bench.ours(wordsOf(line));
    expect(stdout).toContain("fmt=qcow2 encrypt.format=luks encrypt.key-secret=sec0 encrypt.iter-time=1 cluster_size=4096 ");
  });
});
