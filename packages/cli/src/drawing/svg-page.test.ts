import { expect, it } from "vitest";
import { escapeXml } from "./svg-page.ts";

it("leaves nothing in a text that XML could take for its own, or could not hold", () => {
  expect(escapeXml(`<a href="x">&'</a>`)).toBe("&#60;a href=&#34;x&#34;&#62;&#38;&#39;&#60;/a&#62;");
  expect(escapeXml("a\u0000b\u001bc\ud800d\uffffe\tf")).toBe("a\ufffdb\ufffdc\ufffdd\ufffde\tf");
  expect(escapeXml("Ü €😀")).toBe("Ü €😀");
});
