/**
 * Carries frames between QEMU and the program that is a NIC's network, and keeps each from noticing that the other
 * went away.
 *
 * Theory of operation. Both listen on Unix sockets and this is the client of both, so either can be found again by
 * its path. QEMU (7.2 and later, `server: true`) goes back to listening when its client is gone; the program ends
 * with its client and is started anew by program.ts. Each side is handed whole frames only, so that a side that dies
 * in the middle of one leaves the other at a boundary.
 *
 * The two directions differ where the receiver is slow. Towards QEMU the program is made to wait. Towards the program
 * nobody may wait: QEMU writes to its client from its main loop and blocks there, and with it the guest, until it is
 * read. So QEMU is always read, and what the program has not taken after a few MiB is dropped, as a NIC would.
 */
import { connect, type Socket } from "node:net";
import { type Mac, macToBytes } from "../../base/mac.ts";
import { encodeArpQuestion } from "../../wire/arp.ts";
import { FrameCutter } from "./frame-cutter.ts";

/** More than the windows of many connections; what a guest sends beyond is a flood. */
const PROGRAM_BACKLOG_MAX = 4 * 1024 * 1024;
const NO_IP = Uint8Array.of(0, 0, 0, 0);
const SILENT_MS = 300;
const QEMU_RETRY_MS = 20;
const PROGRAM_RETRY_MS = 5;

export interface CarrierOptions {
  readonly qemuSocket: string;
  readonly programSocket: string;
  /**
   * The guest's MAC. A program that has just come up knows it by what the guest sends, and a guest that only answers
   * would wait for ever; so it is introduced.
   */
  readonly mac: Mac;
  /** Frames flow, or no longer: on either side. */
  readonly changed: (side: "qemu" | "program", connected: boolean) => void;
  readonly log: (message: string) => void;
}

export class Carrier {
  readonly #options: CarrierOptions;
  readonly #fromQemu = new FrameCutter();
  readonly #fromProgram = new FrameCutter();
  #qemu: Socket | undefined;
  #program: Socket | undefined;
  #closed = false;
  /** Of this many bytes the program would not have any more. */
  #droppedBytes = 0;

  constructor(options: CarrierOptions) {
    this.#options = options;
    this.#dialQemu();
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Keeps trying while `alive`, for a program that is just coming up. */
  dialProgram(alive: () => boolean): void {
    const socket = connect(this.#options.programSocket);
    socket.once("error", () => {
      if (!this.#closed && alive()) setTimeout(() => this.dialProgram(alive), PROGRAM_RETRY_MS);
    });
    socket.once("connect", () => {
      this.#program = socket;
      this.#fromProgram.reset();
      socket.write(introduction(this.#options.mac));
      this.#tellWhenServing(socket);
      socket.on("data", (chunk) => this.#toQemu(socket, chunk));
      socket.once("close", () => {
        if (this.#program === socket) this.#program = undefined;
        this.#options.changed("program", false);
      });
    });
  }

  /**
   * A program takes connections before it looks at its ports, and loses what comes in between. That it serves shows in
   * its first frame; one that has nothing to say gets a moment.
   */
  #tellWhenServing(socket: Socket): void {
    const tell = (): void => {
      clearTimeout(timer);
      socket.off("data", tell);
      if (this.#program === socket) this.#options.changed("program", true);
    };
    const timer = setTimeout(tell, SILENT_MS);
    socket.on("data", tell);
  }

  close(): void {
    this.#closed = true;
    this.#qemu?.destroy();
    this.#program?.destroy();
  }

  #dialQemu(): void {
    if (this.#closed) return;
    const socket = connect(this.#options.qemuSocket);
    // Not there yet, or gone for a moment or for good: whoever ends QEMU ends us.
    socket.once("error", () => void setTimeout(() => this.#dialQemu(), QEMU_RETRY_MS));
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => undefined);
      this.#qemu = socket;
      this.#fromQemu.reset();
      this.#options.changed("qemu", true);
      socket.on("data", (chunk) => this.#toProgram(socket, chunk));
      socket.on("drain", () => this.#program?.resume());
      socket.once("close", () => {
        this.#qemu = undefined;
        this.#program?.resume();
        this.#options.changed("qemu", false);
        setTimeout(() => this.#dialQemu(), QEMU_RETRY_MS);
      });
    });
  }

  #toProgram(from: Socket, chunk: Buffer): void {
    const frames = this.#cut(this.#fromQemu, from, chunk);
    if (this.#program === undefined || frames.length === 0) return;
    if (this.#program.writableLength < PROGRAM_BACKLOG_MAX) send(this.#program, frames);
    else for (const { length } of frames) this.#droppedBytes += length;
  }

  #toQemu(from: Socket, chunk: Buffer): void {
    const frames = this.#cut(this.#fromProgram, from, chunk);
    if (this.#qemu === undefined || frames.length === 0) return;
    if (!send(this.#qemu, frames)) from.pause();
  }

  #cut(cutter: FrameCutter, from: Socket, chunk: Buffer): readonly Buffer[] {
    try {
      return cutter.push(chunk);
    } catch (problem) {
      const side = from === this.#qemu ? "QEMU" : "the program";
      this.#options.log(`${side} sent nonsense, and is dialled anew: ${String(problem)}`);
      from.destroy();
      return [];
    }
  }
}

/** An ARP probe (RFC 5227) for no address: it asks nobody anything, but comes from the guest. */
function introduction(mac: Mac): Buffer {
  const frame = encodeArpQuestion({ sourceMac: macToBytes(mac), sourceIp: NO_IP, target: NO_IP });
  const bytes = Buffer.alloc(4 + frame.length);
  bytes.writeUInt32BE(frame.length);
  bytes.set(frame, 4);
  return bytes;
}

function send(socket: Socket, frames: readonly Buffer[]): boolean {
  if (frames.length === 1) return socket.write(frames[0] as Buffer);
  socket.cork();
  let more = true;
  for (const frame of frames) more = socket.write(frame);
  socket.uncork();
  return more;
}
