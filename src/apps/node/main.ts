/**
 * The node daemon: API, controllers, and the privileged part of every pod, on one box.
 *
 *   podtap node [--rootless] [--auto] [--config FILE]
 *
 * `--auto` is how the CLI starts it: it then ends by itself once there is nothing to look after, or when it is to be
 * run otherwise. Ending it never stops a guest; the next daemon takes over what runs.
 */
import { parseArgs } from "node:util";
import { messageOf, PodtapError } from "../../base/errors.ts";
import { pathsFrom, rootlessPaths } from "../paths.ts";
import { readConfig } from "./config.ts";
import { startDaemon } from "./daemon.ts";
import { takeLock } from "./lock.ts";
import { errorFields, openLog } from "./log.ts";
import { readRootlessConfig, refuseRoot } from "./rootless-config.ts";

const EXIT_ENVIRONMENT = 3;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      auto: { type: "boolean" },
      config: { type: "string" },
      "cni-conf-dir": { type: "string" },
      rootless: { type: "boolean" },
    },
  });
  const uid = process.geteuid?.() ?? 0;
  const rootless = values.rootless === true;
  if (rootless) refuseRoot(uid);
  else if (uid !== 0) {
    throw new PodtapError({
      code: "PT-ENV-2",
      message: "the node daemon needs root",
      hint: "start it with sudo, or with --rootless",
    });
  }
  const fromFile = rootless ? readRootlessConfig(values.config) : readConfig(values.config);
  const config =
    values["cni-conf-dir"] === undefined ? fromFile : { ...fromFile, cniConfDir: values["cni-conf-dir"] };
  const paths = rootless ? rootlessPaths(process.env, uid) : pathsFrom(process.env);
  const log = openLog(config.logLevel);
  // A user's folders are the user's alone.
  process.umask(rootless ? 0o077 : 0o022);
  await takeLock(paths.run, paths.socket, { takeOver: values.auto !== true });
  // Whatever was started from a folder that is gone would fail in odd ways.
  process.chdir("/");
  const daemon = await startDaemon({ paths, config, log, rootless, idleExit: values.auto === true });
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
