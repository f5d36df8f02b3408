/** The last lines of a log file, for an error's text. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const TAIL_BYTES = 4096;

/** Joined by ` | `; empty when the file is missing or empty. */
export function lastLines(file: string, count: number): string {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch {
    return "";
  }
  try {
    const buffer = Buffer.alloc(TAIL_BYTES);
    const read = readSync(fd, buffer, 0, TAIL_BYTES, Math.max(0, fstatSync(fd).size - TAIL_BYTES));
    const lines = buffer.toString("utf8", 0, read).split("\n").filter(Boolean);
    return lines.slice(-count).join(" | ");
  } finally {
    closeSync(fd);
  }
}
