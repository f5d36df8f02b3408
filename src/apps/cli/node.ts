/** `podtap node`: becomes the daemon, in the foreground, so that a supervisor and Ctrl-C meet one process. */
import { existsSync } from "node:fs";
import { PodtapError } from "../../base/errors.ts";
import type { Context } from "./context.ts";
import { programFile } from "./daemon.ts";
import { EXIT, type ExitCode } from "./failure.ts";

export interface NodeOptions {
  readonly config?: string;
  readonly cniConfDir?: string;
}

export async function runNode({ rootless }: Context, options: NodeOptions): Promise<ExitCode> {
  const program = programFile("node");
  if (!rootless && process.geteuid?.() !== 0) {
    throw new PodtapError({
      code: "PT-ENV-2",
      message: "the podtap daemon makes network namespaces and taps, which needs root",
      hint: "run this with sudo, or with --rootless",
    });
  }
  if (!existsSync(program)) {
    throw new PodtapError({
      code: "PT-ENV-1",
      message: `${program} is missing: podtap is not built`,
      hint: "run 'make setup' in the checkout",
    });
  }
  const node = process.execPath;
  const words = [
    ...(rootless ? ["--rootless"] : []),
    ...(options.config === undefined ? [] : ["--config", options.config]),
    ...(options.cniConfDir === undefined ? [] : ["--cni-conf-dir", options.cniConfDir]),
  ];
  process.execve?.(node, [node, "--disable-warning=ExperimentalWarning", program, ...words], process.env);
  return EXIT.environment;
}
