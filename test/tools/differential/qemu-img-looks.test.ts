import { compareTable } from "./compare-table.ts";
import { ImgPrograms } from "./img-programs.ts";
import { makeImgFiles } from "./tables/img-files.ts";
import { imgTables } from "./tables/img-lines.ts";

compareTable("qemu-img", () => ImgPrograms.start(makeImgFiles), imgTables("info", "map", "check", "compare", "measure"));
