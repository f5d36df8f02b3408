/** Where the sources are. Found upwards: what imports this may be bundled into dist. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

export function repository(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "test/support/relay.c"))) {
    const up = dirname(folder);
    if (up === folder) throw new Error("this needs podtap's repository: its programs are compiled there");
    folder = up;
  }
  return folder;
}
