/**
 * A libvirtd that is always there: started or adopted, connected to, and started again when it dies. QEMU does not
 * notice; whoever uses the session is told to look at the domain again.
 */
import { messageOf } from "../base/errors.ts";
import { Libvirt, type LibvirtListener } from "./libvirt.ts";
import type { LibvirtFiles } from "./libvirt-files.ts";
import { type Libvirtd, startLibvirtd, stopLibvirtd } from "./libvirtd.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;
/** A daemon that lived this long did not die of its start. */
const HEALTHY_MS = 10_000;

export interface SessionListener extends Omit<LibvirtListener, "lost"> {
  /** A daemon answers, the first or a new one. */
  up(pid: number): void;
  /** Events may have been missed: the connection is a new one. */
  reconnected(): void;
  trouble(message: string): void;
}

export class LibvirtSession {
  readonly #files: LibvirtFiles;
  readonly #listener: SessionListener;
  #daemon: Libvirtd | undefined;
  #connection: Promise<Libvirt>;
  #retryMs = FIRST_RETRY_MS;
  #upSince = 0;
  #closed = false;

  /** @param first the daemon that was started already */
  constructor(files: LibvirtFiles, first: Promise<Libvirtd>, listener: SessionListener) {
    this.#files = files;
    this.#listener = listener;
    this.#connection = this.#open(first);
    // Whoever needs the connection gets the error from it.
    this.#connection.catch(() => undefined);
  }

  /** Waits for a daemon that is being started; rejects when it cannot be. */
  get connection(): Promise<Libvirt> {
    return this.#connection;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection.catch(() => undefined);
    await connection?.close();
    if (this.#daemon !== undefined) stopLibvirtd(this.#daemon);
  }

  async #open(starting: Promise<Libvirtd>): Promise<Libvirt> {
    this.#daemon = await starting;
    const { agent, backend, lifecycle } = this.#listener;
    const connection = await Libvirt.connect(this.#files.socket, {
      agent: (connected) => agent(connected),
      backend: (nic, connected) => backend(nic, connected),
      lifecycle: (event, stop) => lifecycle(event, stop),
      lost: () => this.#lost(connection),
    });
    this.#upSince = performance.now();
    this.#listener.up(this.#daemon.pid);
    return connection;
  }

  #lost(connection: Libvirt): void {
    if (this.#closed) return;
    this.#listener.trouble("libvirtd went away; starting another one");
    this.#connection = this.#reopen(connection);
    this.#connection.catch(() => undefined);
  }

  async #reopen(old: Libvirt): Promise<Libvirt> {
    await old.close();
    if (performance.now() - this.#upSince > HEALTHY_MS) this.#retryMs = FIRST_RETRY_MS;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, this.#retryMs));
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
      try {
        const connection = await this.#open(startLibvirtd(this.#files));
        // After the assignment of #connection, which this promise is.
        setImmediate(() => this.#listener.reconnected());
        return connection;
      } catch (problem) {
        if (this.#closed) throw problem;
        this.#listener.trouble(messageOf(problem));
      }
    }
  }
}
