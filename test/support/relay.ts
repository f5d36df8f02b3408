/** Compiled programs of tests (`relay.c` and its like): built once per version of their source into .cache. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./repository.ts";

/** The cable between a tap and a namespace guest. */
export function relayProgram(): string {
  return compiled("relay");
}

/** A namespace guest without a tap. */
export function streamGuestProgram(): string {
  return compiled("stream-guest");
}

/** Path of the program; several test processes may ask at once. */
function compiled(name: string): string {
  const source = join(repository(), `test/support/${name}.c`);
  const cache = join(repository(), ".cache");
  const version = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const program = join(cache, `${name}-${version}`);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync("gcc", ["-O2", "-Wall", "-pthread", "-o", unfinished, source], { stdio: "inherit" });
  renameSync(unfinished, program);
  return program;
}
