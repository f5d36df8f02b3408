/**
 * Progress of something that takes seconds: finished steps are lines that stay, what is under way is the one live
 * line at the bottom of a terminal. In a pipe or a CI log only the lines appear.
 */
import { visible } from "./output-text.ts";
import { formatElapsed, type Terminal } from "./terminal.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const REDRAW_MS = 100;

export interface Step {
  /** What it is about, when several things are under way at once. */
  readonly about?: string;
  readonly name: string;
  readonly detail: string;
  readonly warning?: boolean;
}

export class Progress {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  readonly #began: number;
  readonly #pending = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
    this.#began = now();
  }

  get elapsed(): number {
    return this.#now() - this.#began;
  }

  step({ about, name, detail, warning }: Step): void {
    const { paint, note } = this.#terminal;
    const time = paint("dim", formatElapsed(this.elapsed).padStart(6));
    const shown = paint(warning ? "yellow" : "green", name.padEnd(18));
    note(`${time}  ${about === undefined ? "" : `${about}  `}${shown} ${visible(detail)}\n`);
  }

  /** What `name` is busy with; undefined when it is done. */
  busy(name: string, what: string | undefined): void {
    if (what === undefined) this.#pending.delete(name);
    else this.#pending.set(name, what);
    if (!this.#terminal.live) return;
    if (this.#pending.size > 0) this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref();
    this.#draw();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#pending.clear();
    this.#terminal.status("");
  }

  #draw(): void {
    if (this.#pending.size === 0) {
      this.end();
      return;
    }
    this.#frame = (this.#frame + 1) % FRAMES.length;
    const names = [...this.#pending].map(([name, what]) => `${name} ${what}`).join("  ");
    const line = `${FRAMES[this.#frame]} ${formatElapsed(this.elapsed).padStart(4)}  ${names}`;
    this.#terminal.status(line.slice(0, this.#terminal.columns - 1));
  }
}
