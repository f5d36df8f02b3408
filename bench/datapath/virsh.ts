/** A running domain by the sockets of its libvirtd: paused and let run, and programs in it by the guest's agent. */
import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

export interface Domain {
  suspend(): Promise<void>;
  resume(): Promise<void>;
  /** Standard output of a program in the guest; `milliseconds` is how long nobody asks whether it is done. */
  run(program: string, args: readonly string[], milliseconds?: number): Promise<string>;
}

const LOOK_EVERY_MS = 25;
const PATIENCE_MS = 30_000;

export function domainOf(socket: string, name: string): Domain {
  const virsh = async (command: string, ...words: readonly string[]): Promise<string> => {
    const uri = `qemu+unix:///session?socket=${socket}`;
    const { stdout } = await promisify(execFile)("virsh", ["-q", "-c", uri, command, name, ...words]);
    return stdout;
  };
  const agent = async <T>(execute: string, words: object): Promise<T> => {
    const answer = await virsh("qemu-agent-command", JSON.stringify({ execute, arguments: words }));
    return (JSON.parse(answer) as { readonly return: T }).return;
  };
  return {
    suspend: async () => void (await virsh("suspend")),
    resume: async () => void (await virsh("resume")),
    run: async (path, args, milliseconds = 0) => {
      const what = [path, ...args].join(" ");
      const { pid } = await agent<{ readonly pid: number }>("guest-exec", {
        path,
        arg: args,
        "capture-output": true,
      });
      const deadline = performance.now() + milliseconds + PATIENCE_MS;
      await pause(milliseconds);
      for (;;) {
        const status = await agent<ExecStatus>("guest-exec-status", { pid });
        if (status.exited) return outputOf(status, what);
        if (performance.now() > deadline) throw new Error(`${what} in the guest does not end`);
        await pause(LOOK_EVERY_MS);
      }
    },
  };
}

/** QEMU's qga/qapi-schema.json, GuestExecStatus. */
interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
}

function outputOf(status: ExecStatus, what: string): string {
  if (status.exitcode === 0) return decoded(status["out-data"]);
  throw new Error(
    `${what} in the guest ended with ${status.exitcode}: ${decoded(status["err-data"]).trim()}`,
  );
}

function decoded(data = ""): string {
  return Buffer.from(data, "base64").toString("utf8");
}
