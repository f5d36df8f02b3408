/**
 * The demo guest's root shell on its serial console, for tests that ask the guest itself. Commands are told from their
 * output by marks that the shell puts together: what the terminal echoes is another text.
 */
import { connect } from "node:net";
import { dirname, join } from "node:path";
import type { Pod } from "../../src/api/types.ts";
import { identityOf } from "../../src/cluster/local/pods/pod-runner.ts";
import { launcherSocket, podtap } from "./daemon-host.ts";
import { eventually } from "./netns.ts";

const DEADLINE_MS = 30_000;
let commands = 0;

/** Runs a line of shell in the guest of this VM; its output, when it ended well. One at a time: there is one terminal. */
export async function inGuest(vm: string, command: string): Promise<string> {
  commands += 1;
  const mark = `@@${process.pid}.${commands}`;
  const socket = connect(await consoleOf(vm));
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  try {
    // Also of the past, which is replayed. What is typed before anybody listens is lost in part.
    await eventually(
      `a shell in the guest of ${vm}`,
      () => /^root@.*# /m.test(text) || undefined,
      DEADLINE_MS,
    );
    socket.write(`\n echo '@@''${mark.slice(2)}'; ${command}; echo '@@''${mark.slice(2)}' $?\n`);
    const pattern = new RegExp(`${mark}\r?\n([\\s\\S]*?)${mark} (\\d+)\r?\n`);
    const [, out = "", code] = await eventually(
      `the guest of ${vm}: ${command}`,
      () => {
        const found = pattern.exec(text);
        if (found === null) throw new Error(text.slice(-2000));
        return found;
      },
      DEADLINE_MS,
    );
    if (code !== "0") throw new Error(`in the guest of ${vm}, ${command}: ${code}\n${out}`);
    return out.replaceAll("\r", "");
  } finally {
    socket.destroy();
  }
}

async function consoleOf(vm: string): Promise<string> {
  const { items } = JSON.parse(await podtap("get", "pods", "-o", "json")) as { items: readonly Pod[] };
  const pod = items.find(({ metadata }) => metadata.labels?.["vm.kubevirt.io/name"] === vm);
  if (pod === undefined) throw new Error(`no pod of ${vm}`);
  return join(dirname(launcherSocket(identityOf(pod).id)), "console.sock");
}
