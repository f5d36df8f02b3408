/** The daemon's log: one JSON object a line on stderr, which the CLI or systemd keeps in a file. */
import pino from "pino";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { NodeConfig } from "./config.ts";

export type Log = pino.Logger;

export function openLog(level: NodeConfig["logLevel"]): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** What a line says of something thrown. */
export function errorFields(thrown: unknown): Readonly<Record<string, unknown>> {
  if (!(thrown instanceof PodtapError)) {
    return { error: messageOf(thrown), ...(thrown instanceof Error && { stack: thrown.stack }) };
  }
  const { code, hint, message } = thrown;
  return { error: message, code, ...(hint !== undefined && { hint }) };
}
