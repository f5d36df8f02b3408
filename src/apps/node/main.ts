/**
 * The node daemon: API, controllers, and the privileged part of every pod, on one box.
 *
 *   podtap node [--auto] [--config FILE]
 *
 * `--auto` is how the CLI starts it: it then ends by itself once there is nothing to look after. Ending it never
 * stops a guest; the next daemon takes over what runs.
 */
import { parseArgs } from "node:util";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { pathsFrom } from "../paths.ts";
import { readConfig } from "./config.ts";
import { startDaemon } from "./daemon.ts";
import { takeLock } from "./lock.ts";
import { errorFields, openLog } from "./log.ts";

const EXIT_ENVIRONMENT = 3;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { auto: { type: "boolean" }, config: { type: "string" }, "cni-conf-dir": { type: "string" } },
  });
  if (process.geteuid?.() !== 0) {
    throw new PodtapError({
      code: "PT-ENV-2",
      message: "the node daemon needs root",
      hint: "start it with sudo",
    });
  }
  const fromFile = readConfig(values.config);
  const config =
    values["cni-conf-dir"] === undefined ? fromFile : { ...fromFile, cniConfDir: values["cni-conf-dir"] };
  const paths = pathsFrom(process.env);
  const log = openLog(config.logLevel);
  await takeLock(paths.run, paths.socket);
  // Whatever was started from a folder that is gone would fail in odd ways.
  process.chdir("/");
  process.umask(0o022);
  const daemon = await startDaemon({ paths, config, log, idleExit: values.auto === true });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void daemon.stop(signal));
  process.on("unhandledRejection", (thrown) => log.error(errorFields(thrown), "unexpected"));
  await daemon.ended;
}

main().then(
  () => process.exit(0),
  (thrown) => {
    const hint = thrown instanceof PodtapError && thrown.hint !== undefined ? `\n  ${thrown.hint}` : "";
    process.stderr.write(`podtap node: ${messageOf(thrown)}${hint}\n`);
    process.exit(EXIT_ENVIRONMENT);
  },
);
