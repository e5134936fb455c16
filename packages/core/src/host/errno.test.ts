import { constants } from "node:os";
import { expect, test } from "vitest";

import { errnoName, errnoWords } from "./errno.ts";

test("numbers have their names, shared ones the name with words", () => {
  expect(errnoName(constants.errno.ENOENT)).toBe("ENOENT");
  expect(errnoName(constants.errno.EWOULDBLOCK)).toBe("EAGAIN");
  expect(errnoName(constants.errno.ENOTSUP)).toBe("EOPNOTSUPP");
  expect(errnoName(99_999)).toBe("errno 99999");
});

test("words are the C library's, else Node's, else the name", () => {
  expect(errnoWords("ENOSPC")).toBe("No space left on device");
  expect(errnoWords("EPIPE")).toBe("broken pipe");
  expect(errnoWords("EWHATEVER")).toBe("EWHATEVER");
});
