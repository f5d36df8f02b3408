/** `podtap node`: becomes the daemon, in the foreground, so that a supervisor and Ctrl-C meet one process. */
import { PodtapError } from "../../base/errors.ts";
import type { Context } from "./context.ts";
import { daemonCommand } from "./daemon-command.ts";
import { EXIT, type ExitCode } from "./failure.ts";

export interface NodeOptions {
  readonly config?: string;
  readonly cniConfDir?: string;
}

export async function runNode({ rootless }: Context, options: NodeOptions): Promise<ExitCode> {
  if (!rootless && process.geteuid?.() !== 0) {
    throw new PodtapError({
      code: "PT-ENV-2",
      message: "the podtap daemon makes network namespaces and taps, which needs root",
      hint: "run this with sudo, or with --rootless",
    });
  }
  const command = daemonCommand([
    ...(rootless ? ["--rootless"] : []),
    ...(options.config === undefined ? [] : ["--config", options.config]),
    ...(options.cniConfDir === undefined ? [] : ["--cni-conf-dir", options.cniConfDir]),
  ]);
  process.execve?.(command[0], [...command], process.env);
  return EXIT.environment;
}
