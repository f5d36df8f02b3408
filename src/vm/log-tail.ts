/** The end of a log file: its last lines for an error's text, its last bytes to be shown again. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const LINES_BYTES = 4096;

/** Joined by ` | `; empty when the file is missing or empty. */
export function lastLines(file: string, count: number): string {
  const lines = lastBytes(file, LINES_BYTES).toString("utf8").split("\n").filter(Boolean);
  return lines.slice(-count).join(" | ");
}

/** Empty when the file is missing. */
export function lastBytes(file: string, count: number): Buffer {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const buffer = Buffer.alloc(count);
    return buffer.subarray(0, readSync(fd, buffer, 0, count, Math.max(0, fstatSync(fd).size - count)));
  } finally {
    closeSync(fd);
  }
}
