/** Lint rules for what Coblock asks of its own code and no linter brings. Loaded by oxlint; see .oxlintrc.json. */

/**
 * The little of the syntax tree that the rules look at (ESTree).
 * @typedef {{ type: string, parent?: Node, range: [number, number], [key: string]: any }} Node
 * @typedef {{ report(problem: { node: Node, message: string }): void }} Context
 */

const GUARDED = "what a lock guards must not outlive the lock";
const TIME = "time comes from the Clock";
const TRUNCATED =
  "truncates to 32 bits: offsets and lengths need arithmetic (Math.floor, %, alignUp), or shifts in the format's address file";

const QUANTITY = /(?:offset|length|position|size)$/i;
const CONSTANT = /^[A-Z0-9_]+$/;
const BIT_OPERATORS = ["&", "|", "^", "<<", ">>", ">>>"];

/**
 * `using held = await guarded.lock()`: `held.value`, and names given to it, are neither returned nor stored in an object; the same
 * holds for the first parameter of a `runSync` section.
 */
const guardedValueStays = {
  create(/** @type {Context} */ context) {
    /** @type {Set<string>[]} One set of names per function: of values (`state`) and of guards (`held.value`). */
    const scopes = [];
    const names = () => scopes.at(-1);
    const isGuarded = (/** @type {Node | null | undefined} */ node) =>
      node != null && scopes.some((scope) => scope.has(textOf(unwrap(node))));
    const check = (/** @type {Node | null | undefined} */ node) => {
      if (node != null && isGuarded(node)) context.report({ node, message: GUARDED });
    };
    const enter = (/** @type {Node} */ node) => {
      scopes.push(new Set());
      if (!isRunSyncSection(node)) return;
      const [state] = node["params"];
      if (state?.type === "Identifier") names()?.add(state.name);
      if (node["body"].type !== "BlockStatement") check(node["body"]);
    };
    const leave = () => scopes.pop();

    return {
      Program: enter,
      "Program:exit": leave,
      FunctionDeclaration: enter,
      "FunctionDeclaration:exit": leave,
      FunctionExpression: enter,
      "FunctionExpression:exit": leave,
      ArrowFunctionExpression: enter,
      "ArrowFunctionExpression:exit": leave,
      VariableDeclarator(/** @type {Node} */ node) {
        const { id, init, parent } = node;
        if (id.type !== "Identifier") return;
        if (parent?.["kind"].endsWith("using")) names()?.add(`${id.name}.value`);
        else if (isGuarded(init)) names()?.add(id.name);
      },
      ReturnStatement: (/** @type {Node} */ node) => check(node["argument"]),
      AssignmentExpression(/** @type {Node} */ node) {
        if (node["left"].type === "MemberExpression") check(node["right"]);
      },
    };
  },
};

/** @param {Node} node */
function isRunSyncSection(node) {
  const call = node.parent;
  return call?.type === "CallExpression" && call["arguments"][0] === node && textOf(call["callee"]).endsWith(".runSync");
}

/**
 * `state`, `held.value`, `a.b.runSync`: names joined by dots; anything else is empty.
 * @param {Node} node
 * @returns {string}
 */
function textOf(node) {
  if (node.type === "Identifier" || node.type === "PrivateIdentifier") return node["name"];
  if (node.type === "ThisExpression") return "this";
  if (node.type !== "MemberExpression" || node["computed"]) return "";
  return `${textOf(node["object"])}.${textOf(node["property"])}`;
}

/**
 * Through `await x`, `x as T`, `x satisfies T` and `(x)`.
 * @param {Node} node
 * @returns {Node}
 */
function unwrap(node) {
  switch (node.type) {
    case "AwaitExpression":
      return unwrap(node["argument"]);
    case "TSAsExpression":
    case "TSSatisfiesExpression":
    case "ParenthesizedExpression":
      return unwrap(node["expression"]);
    default:
      return node;
  }
}

/** Bit operators make 32-bit integers of numbers; the names of offsets and lengths tell where that must not happen. */
const noTruncatedOffset = {
  create(/** @type {Context} */ context) {
    const check = (/** @type {Node} */ node, /** @type {Node[]} */ operands) => {
      if (operands.some(isBigint) || !operands.some(isQuantity)) return;
      context.report({ node, message: TRUNCATED });
    };
    return {
      BinaryExpression(/** @type {Node} */ node) {
        if (BIT_OPERATORS.includes(node["operator"])) check(node, [node["left"], node["right"]]);
      },
      AssignmentExpression(/** @type {Node} */ node) {
        if (BIT_OPERATORS.includes(node["operator"].slice(0, -1))) check(node, [node["left"], node["right"]]);
      },
      UnaryExpression(/** @type {Node} */ node) {
        if (node["operator"] === "~") check(node, [node["argument"]]);
      },
    };
  },
};

/**
 * @param {Node} node
 * @returns {boolean}
 */
function isBigint(node) {
  if (node.type === "Literal") return typeof node["value"] === "bigint" || node["bigint"] !== undefined;
  if (node.type === "BinaryExpression") return isBigint(node["left"]) || isBigint(node["right"]);
  return node.type === "CallExpression" && /^BigInt\b/.test(textOf(node["callee"]));
}

/**
 * @param {Node} node
 * @returns {boolean}
 */
function isQuantity(node) {
  if (node.type === "BinaryExpression") return isQuantity(node["left"]) || isQuantity(node["right"]);
  const name = textOf(node).split(".").at(-1) ?? "";
  return QUANTITY.test(name) && !CONSTANT.test(name);
}

/** A Date of a given time is a value; the current time is the Clock's to tell. */
const timeIsPassedIn = {
  create(/** @type {Context} */ context) {
    const report = (/** @type {Node} */ node) => context.report({ node, message: TIME });
    return {
      NewExpression(/** @type {Node} */ node) {
        if (textOf(node["callee"]) === "Date" && node["arguments"].length === 0) report(node);
      },
      CallExpression(/** @type {Node} */ node) {
        if (["Date", "Date.now", "globalThis.Date.now"].includes(textOf(node["callee"]))) report(node);
      },
    };
  },
};

export default {
  meta: { name: "coblock" },
  rules: { "guarded-value-stays": guardedValueStays, "no-truncated-offset": noTruncatedOffset, "time-is-passed-in": timeIsPassedIn },
};
