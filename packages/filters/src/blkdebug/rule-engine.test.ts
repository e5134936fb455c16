import { SimulatedClock } from "@coblock/core";
import { describe, expect, it } from "vitest";
import { parseRules } from "./config-file.ts";
import { RuleEngine, type CheckedRequest } from "./rule-engine.ts";
import { rulesOf } from "./rules.ts";

const READ: CheckedRequest = { ioType: "read", offset: 0, length: 512 };

function engine(injectError: readonly object[], setState: readonly object[] = []): RuleEngine {
  return new RuleEngine(rulesOf(injectError, setState), new SimulatedClock(), "node");
}

async function outcome(rules: RuleEngine, request: CheckedRequest = READ): Promise<string> {
  try {
    await rules.check(request);
    return "ok";
  } catch (error) {
    return (error as { readonly errno: string }).errno;
  }
}

describe("errors", () => {
  it("are due from their event on, until another event brings others", async () => {
    const rules = engine([
      { event: "read_aio", errno: 28, immediately: true },
      { event: "write_aio", errno: 5, immediately: true },
    ]);
    expect(await outcome(rules)).toBe("ok");
    await rules.event("read_aio");
    expect(await outcome(rules)).toBe("ENOSPC");
    await rules.event("l2_load");
    expect(await outcome(rules)).toBe("ENOSPC");
    await rules.event("write_aio");
    expect(await outcome(rules)).toBe("EIO");
  });

  it("of the event none are due at once, and once means once", async () => {
    const rules = engine([{ event: "none", once: true, immediately: true }]);
    expect([await outcome(rules), await outcome(rules)]).toEqual(["EIO", "ok"]);
  });

  it("are for requests that touch their sector", async () => {
    const rules = engine([{ event: "none", sector: 3, immediately: true }]);
    const at = (offset: number, length: number): Promise<string> => outcome(rules, { ioType: "read", offset, length });
    expect([await at(0, 1536), await at(1536, 1), await at(1537, 512), await at(0, 4096)]).toEqual(["ok", "EIO", "ok", "EIO"]);
  });

  it("are for one type of request, or for all but block status", async () => {
    const one = engine([{ event: "none", iotype: "discard", immediately: true }]);
    const all = engine([{ event: "none", immediately: true }]);
    expect([await outcome(one), await outcome(one, { ...READ, ioType: "discard" })]).toEqual(["ok", "EIO"]);
    expect([await outcome(all, { ...READ, ioType: "flush" }), await outcome(all, { ...READ, ioType: "block-status" })]).toEqual([
      "EIO",
      "ok",
    ]);
  });

  it("with errno 0 are none", async () => {
    expect(await outcome(engine([{ event: "none", errno: 0 }]))).toBe("ok");
  });
});

describe("states", () => {
  it("lead from one to the next at an event, all by the state before it", async () => {
    const rules = engine(
      [{ event: "read_aio", state: 2, immediately: true }],
      [
        { event: "read_aio", state: 1, new_state: 2 },
        { event: "read_aio", state: 2, new_state: 3 },
      ],
    );
    const seen: string[] = [];
    for (let count = 0; count < 3; count++) {
      await rules.event("read_aio");
      seen.push(`${rules.state} ${await outcome(rules)}`);
    }
    expect(seen).toEqual(["2 ok", "3 EIO", "3 EIO"]);
  });
});

describe("a file of rules", () => {
  it("has sections and options", () => {
    const text =
      '# two rules\n[inject-error "first"]\n  event = "read_aio"\n  sector = "7"\n  once = "on"\n\n[set-state]\nevent = "l2_load"\nnew_state = "4"\n';
    expect(parseRules(text)).toMatchObject([
      { kind: "inject-error", event: "read_aio", offset: 3584, errno: "EIO", once: true },
      { kind: "set-state", event: "l2_load", state: 0, newState: 4 },
    ]);
  });

  it.each([
    ["[nonsense]", "There is no option group 'nonsense'"],
    ["event", "no group defined"],
    ['[set-state]\nevent="none"', `Invalid parameter 'event="none"'`],
    ['[set-state]\nstate = "1"', "Missing event name for rule"],
    ['[set-state]\nevent = "x"', "invalid parameter value: x"],
    ['[inject-error]\nevent = "none"\nerrno = "x"', "Parameter 'errno' expects a number"],
  ])("%j is refused", (text, message) => expect(() => parseRules(text)).toThrow(message));
});
