/**
 * What a command may say and where: results on stdout, everything for people on stderr, so that output can be piped.
 * Colours and the live line appear on a terminal only; NO_COLOR is respected.
 */
import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];

export interface Terminal {
  /** Is a person watching stderr? */
  readonly live: boolean;
  /** Columns of stderr; 80 where there is no terminal. */
  readonly columns: number;
  /** Results: stdout. */
  out(text: string): void;
  /** For people: stderr; above the live line, when there is one. */
  note(text: string): void;
  /** Replaces the line at the bottom of the screen; empty removes it. Nothing happens without a terminal. */
  status(text: string): void;
  /** Does stderr show colours? */
  readonly colours: boolean;
  /** Does stdout? */
  readonly coloursOut: boolean;
  /** Colours for stderr. */
  paint(format: Format, text: string): string;
  /** Colours for stdout. */
  paintOut(format: Format, text: string): string;
}

const CLEAR_LINE = "\r\u001b[2K";

export function systemTerminal(): Terminal {
  const live = process.stderr.isTTY === true;
  let shown = "";
  return {
    live,
    get columns() {
      // 0 on a terminal that does not know its size.
      return process.stderr.columns || 80;
    },
    out: (text) => void process.stdout.write(text),
    note: (text) => void process.stderr.write(shown === "" ? text : `${CLEAR_LINE}${text}${shown}`),
    status: (text) => {
      if (!live || text === shown) return;
      process.stderr.write(`${CLEAR_LINE}${text}`);
      shown = text;
    },
    colours: hasColours(process.stderr),
    coloursOut: hasColours(process.stdout),
    paint: (format, text) => styleText(format, text, { stream: process.stderr }),
    paintOut: (format, text) => styleText(format, text, { stream: process.stdout }),
  };
}

function hasColours(stream: NodeJS.WriteStream): boolean {
  return styleText("red", "x", { stream }) !== "x";
}

/** `0.4s`, `12s`, `3m05s`. */
export function formatElapsed(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  if (seconds < 60) return `${Math.round(seconds)}s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}

/** `5m`, `90s`, `1m30s`, `500ms`, or bare seconds; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) {
    total += Number(amount) * (units[unit ?? ""] ?? 0);
  }
  return total;
}
