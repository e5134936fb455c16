import { compareTable } from "./compare-table.ts";
import { ImgPrograms } from "./img-programs.ts";
import { makeImgFiles } from "./tables/img-files.ts";
import { imgTables } from "./tables/img-lines.ts";

/** Lines as people type them: options in any place and cut short, sizes in all spellings, and what answers and scripts tell to do. */
compareTable("qemu-img", () => ImgPrograms.start(makeImgFiles), imgTables("getopt", "sizes", "everyday-looks", "everyday-changes"), 9);
