/** `podtap logs`: what launcher, guest console, QEMU or libvirtd of a VM wrote. */
import { connect, ownPath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";
import { parseTarget } from "./target.ts";

export interface LogsOptions {
  readonly namespace: string;
  readonly source: "launcher" | "serial" | "qemu" | "libvirtd";
  readonly follow?: boolean;
  readonly tail?: number;
}

export async function logs(context: Context, name: string, options: LogsOptions): Promise<ExitCode> {
  const target = parseTarget(name);
  const client = connect(context);
  const query = {
    source: options.source,
    follow: options.follow ? "true" : undefined,
    tail: options.tail?.toString(),
  };
  const path = ownPath(options.namespace, target.name, "logs");
  const stream = await client.open(path, { query, accept: "text/plain", signal: context.signal });
  stream.setEncoding("utf8");
  let last = "\n";
  try {
    for await (const piece of stream as AsyncIterable<string>) {
      context.terminal.out(piece);
      last = piece.at(-1) ?? last;
    }
  } catch (thrown) {
    // Ctrl-C is how following ends.
    if (!context.signal.aborted) throw client.broken(thrown);
  }
  if (last !== "\n") context.terminal.out("\n");
  return EXIT.done;
}
