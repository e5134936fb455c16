import { expect, test } from "vitest";
import { settled, watch } from "../fixture/lab.ts";
import { RequestGate } from "./gate.ts";

test("a closed gate keeps new requests out, and waits for nobody by itself", async () => {
  const gate = new RequestGate("disk");
  gate.begin();
  const closed = gate.close();
  expect([gate.open, gate.inFlight]).toEqual([false, 1]);
  const entering = [watch(gate.enter({ who: "read 0x0+512" })), watch(gate.enter(undefined))];
  const idle = watch(gate.idle());
  await settled();
  expect([...entering, idle].map(({ state }) => state)).toEqual(["pending", "pending", "pending"]);
  expect(gate.inspect().waiters.map(({ who }) => who)).toEqual(["read 0x0+512", "request"]);
  gate.leave();
  await settled();
  expect([idle.state, entering[0]?.state]).toEqual(["fulfilled", "pending"]);
  closed[Symbol.dispose]();
  await settled();
  expect(entering.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled"]);
  expect(gate.inspect().waiters).toEqual([]);
});

test("it opens when the last of those who closed it is done, each counted once", async () => {
  const gate = new RequestGate("disk");
  const [first, second] = [gate.close(), gate.close()];
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(gate.open).toBe(false);
  second[Symbol.dispose]();
  expect(gate.open).toBe(true);
});

test("who waited looks again: the gate may have been closed meanwhile", async () => {
  const gate = new RequestGate("disk");
  const first = gate.close();
  const entering = watch(gate.enter(undefined));
  first[Symbol.dispose]();
  const second = gate.close();
  await settled();
  expect(entering.state).toBe("pending");
  second[Symbol.dispose]();
  await settled();
  expect(entering.state).toBe("fulfilled");
});

test("a waiter whose signal aborts leaves", async () => {
  const gate = new RequestGate("disk");
  using _closed = gate.close();
  const stop = new AbortController();
  const entering = gate.enter({ signal: stop.signal });
  const reason = new Error("stopped");
  stop.abort(reason);
  await expect(entering).rejects.toBe(reason);
  await expect(gate.enter({ signal: stop.signal })).rejects.toBe(reason);
  expect(gate.inspect().waiters).toEqual([]);
});
