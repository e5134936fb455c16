/** The bench of real NBD programs itself: what they do to it must not become an error of the test beside them. */

import { expect, it } from "vitest";
import { Peers } from "./peers.ts";

it("takes a program that ends before it has read its input by its status", async () => {
  await using peers = new Peers();
  const input = "quit\n".repeat(100_000);
  for (let attempt = 0; attempt < 10; attempt++) {
    expect(await peers.run("true", [], input)).toEqual({ status: 0, stdout: "", stderr: "" });
  }
});
