/** How the node daemon is run, whoever starts it: a command that needs one, `podtap node` (and with it systemd), a benchmark. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PodtapError } from "../../base/errors.ts";

/** A daemon lives long and allocates little: its heaps are kept small. */
const FLAGS = ["--max-semi-space-size=1", "--disable-warning=ExperimentalWarning"];

/**
 * Node first, then its words. `program`: by default the one beside this file, bundled as dist/node.js, or its source
 * when run from there.
 * @throws PT-ENV-1 when there is none
 */
export function daemonCommand(
  words: readonly string[],
  program: string = daemonProgram(),
): readonly [string, ...string[]] {
  if (!existsSync(program)) {
    throw new PodtapError({
      code: "PT-ENV-1",
      message: `${program} is missing: podtap is not built`,
      hint: "run 'make setup' in the checkout",
    });
  }
  return [process.execPath, ...FLAGS, program, ...words];
}

function daemonProgram(): string {
  const here = fileURLToPath(import.meta.url);
  const folder = dirname(here);
  return here.endsWith(".ts") ? join(folder, "..", "node", "main.ts") : join(folder, "node.js");
}
