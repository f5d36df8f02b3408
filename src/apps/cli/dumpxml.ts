/** `podtap dumpxml`: the domain as libvirt has it. */
import { connect, ownPath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";
import { parseTarget } from "./target.ts";

export interface DumpXmlOptions {
  readonly namespace: string;
}

export async function dumpXml(context: Context, name: string, options: DumpXmlOptions): Promise<ExitCode> {
  const target = parseTarget(name);
  const client = await connect(context);
  const path = ownPath(options.namespace, target.name, "domainxml");
  const xml = String((await client.request(path, { accept: "application/xml, text/plain" })).body);
  context.terminal.out(xml.endsWith("\n") ? xml : `${xml}\n`);
  return EXIT.done;
}
