/** The compiled relay (`relay.c`): built once per version of its source into .cache, by the C compiler of the machine. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./repository.ts";

/** Path of the program; several test processes may ask at once. */
export function relayProgram(): string {
  const source = join(repository(), "test/support/relay.c");
  const cache = join(repository(), ".cache");
  const version = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const program = join(cache, `relay-${version}`);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync("gcc", ["-O2", "-Wall", "-pthread", "-o", unfinished, source], { stdio: "inherit" });
  renameSync(unfinished, program);
  return program;
}
