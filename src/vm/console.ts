/**
 * The guest's serial console for any number of clients.
 *
 * QEMU's Unix chardev serves one client; that client is here. What the guest prints goes to the log file, to a
 * buffer of the last output and to every client; what any client types goes to the guest. A client that does not
 * read is dropped rather than allowed to hold up the guest or fill the memory; the log is capped at twice
 * LOG_BYTES, because the guest decides how much it prints.
 */
import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { PodtapError } from "../base/errors.ts";
import { lastBytes } from "./log-tail.ts";

const REPLAY_BYTES = 64 * 1024;
const CLIENT_QUEUE_BYTES = 1024 * 1024;
const LOG_BYTES = 4 * 1024 * 1024;

export interface ConsoleFiles {
  /** QEMU listens here. */
  readonly serialSocket: string;
  /** We listen here. */
  readonly clientSocket: string;
  readonly log: string;
}

export class Console {
  readonly #files: ConsoleFiles;
  readonly #clients = new Set<Socket>();
  readonly #server: Server;
  #guest: Socket | undefined;
  #replay: Buffer[] = [];
  #replayBytes = 0;
  #log: Log | undefined;

  constructor(files: ConsoleFiles) {
    this.#files = files;
    this.#server = createServer({ allowHalfOpen: false }, (client) => this.#welcome(client));
  }

  /** Clients may come before the guest runs. What an earlier launcher logged is replayed too. */
  async listen(): Promise<void> {
    this.#remember(lastBytes(this.#files.log, REPLAY_BYTES));
    rmSync(this.#files.clientSocket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#files.clientSocket, resolve);
    });
  }

  /** @param onClosed QEMU closed its end: it is gone, or about to be. */
  async attach(onClosed: () => void): Promise<void> {
    const guest = connect(this.#files.serialSocket);
    await new Promise<void>((resolve, reject) => {
      guest.once("connect", resolve);
      guest.once("error", (cause) =>
        reject(
          new PodtapError({
            code: "PT-LAUNCHER-4",
            message: `the serial console ${this.#files.serialSocket} could not be opened: ${cause.message}`,
            hint: "QEMU serves one client: is another program connected to it?",
            cause,
          }),
        ),
      );
    });
    guest.removeAllListeners("error");
    // An error is always followed by close.
    guest.on("error", () => undefined);
    guest.on("data", (chunk: Buffer) => this.#print(chunk));
    guest.once("close", () => {
      if (this.#guest === guest) this.#guest = undefined;
      onClosed();
    });
    this.#guest = guest;
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
    this.#guest?.removeAllListeners("close");
    this.#guest?.destroy();
    if (this.#log !== undefined) closeSync(this.#log.fd);
    this.#log = undefined;
  }

  #welcome(client: Socket): void {
    this.#clients.add(client);
    client.on("error", () => undefined);
    client.once("close", () => this.#clients.delete(client));
    client.write(Buffer.concat(this.#replay).subarray(-REPLAY_BYTES));
    client.on("data", (chunk: Buffer) => {
      const guest = this.#guest;
      if (guest === undefined || guest.write(chunk)) return;
      client.pause();
      guest.once("drain", () => client.resume());
    });
  }

  #print(chunk: Buffer): void {
    this.#remember(chunk);
    this.#append(chunk);
    for (const client of this.#clients) {
      if (client.writableLength > CLIENT_QUEUE_BYTES) client.destroy();
      else client.write(chunk);
    }
  }

  #remember(chunk: Buffer): void {
    this.#replay.push(chunk);
    this.#replayBytes += chunk.length;
    // A guest may print byte by byte: joined now and then, so that the list stays as small as its content.
    if (this.#replay.length < 256 && this.#replayBytes < 2 * REPLAY_BYTES) return;
    const last = Buffer.concat(this.#replay).subarray(-REPLAY_BYTES);
    this.#replay = [Buffer.from(last)];
    this.#replayBytes = last.length;
  }

  /** Written at once: it is the page cache, and what a crashed launcher had printed is what one looks for. */
  #append(chunk: Buffer): void {
    try {
      this.#log ??= openLog(this.#files.log);
      writeSync(this.#log.fd, chunk);
      this.#log.bytes += chunk.length;
      if (this.#log.bytes < LOG_BYTES) return;
      closeSync(this.#log.fd);
      this.#log = undefined;
      renameSync(this.#files.log, `${this.#files.log}.1`);
    } catch {
      // A full disk must not end the VM; the console works without its log.
    }
  }
}

interface Log {
  readonly fd: number;
  bytes: number;
}

function openLog(path: string): Log {
  const fd = openSync(path, "a", 0o600);
  return { fd, bytes: fstatSync(fd).size };
}
