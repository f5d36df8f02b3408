/** `podtap gc`: removes what crashed or killed VMs left behind. The daemon decides; only marked things go. */
import { connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";

export interface GcOptions {
  readonly dryRun?: boolean;
  readonly output: "text" | "json";
}

interface Collected {
  readonly removed: readonly { readonly kind: string; readonly name: string }[];
}

export async function gc(context: Context, options: GcOptions): Promise<ExitCode> {
  const client = connect(context);
  const { terminal } = context;
  const dryRun = options.dryRun === true;
  const answer = (
    await client.request("/podtap/v1/gc", { method: "POST", repeatable: true, body: { dryRun } })
  ).body as Collected;
  // A daemon that was started only for this is a leftover, too.
  if (!dryRun) await client.request("/podtap/v1/shutdown", { method: "POST", body: { ifIdle: true } });
  if (options.output === "json") {
    terminal.out(`${JSON.stringify({ dryRun, ...answer }, null, 2)}\n`);
    return EXIT.done;
  }
  for (const { kind, name } of answer.removed) {
    terminal.out(`${kind}/${name} ${dryRun ? "would be removed" : "removed"}\n`);
  }
  if (answer.removed.length === 0) terminal.out("nothing is left over\n");
  return EXIT.done;
}
