/** Frames that real clients sent, by name: src/wire/captures.hex. */
import { readFileSync } from "node:fs";

export const CAPTURES: ReadonlyMap<string, Uint8Array> = new Map(
  readFileSync(new URL("../../src/wire/captures.hex", import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [name = "", hex = ""] = line.split(" ");
      return [name, Uint8Array.from(Buffer.from(hex, "hex"))] as const;
    }),
);

/** A copy, so that a test may damage it. */
export function capture(name: string): Uint8Array {
  const frame = CAPTURES.get(name);
  if (frame === undefined) throw new Error(`there is no capture named ${name}`);
  return frame.slice();
}
