/** Commands that change what runs: up, down, gc, node, version. */
import { type Command, Option } from "commander";
import {
  collect,
  duration,
  examples,
  fileOption,
  namespaceOption,
  outputOption,
  type Run,
} from "./declare.ts";
import type { DownOptions } from "./down.ts";
import type { GcOptions } from "./gc.ts";
import type { NodeOptions } from "./node.ts";
import type { UpOptions } from "./up.ts";
import type { VersionOptions } from "./version.ts";

export function declareLifecycle(program: Command, run: Run): void {
  declareUp(program, run);
  declareDown(program, run);
}

export function declareMachine(program: Command, run: Run): void {
  declareGc(program, run);
  examples(
    program
      .command("node")
      .description("run the daemon in the foreground (the other commands start it when it is needed)")
      .option("--config <file>", "settings; default /etc/podtap/config.yaml, which may be missing")
      .option("--cni-conf-dir <folder>", "CNI network configurations, instead of podtap's own bridge network")
      .action((options: NodeOptions) =>
        run(async (context) => (await import("./node.ts")).runNode(context, options)),
      ),
    {
      does: "Watch what the daemon does, in the place of one that a command started; Ctrl-C ends it, VMs keep running",
      command: "node",
    },
  );
  examples(
    program
      .command("version")
      .description("versions of this program, the daemon, Node, libvirt and QEMU")
      .addOption(outputOption("text", "json").default("text"))
      .action((options: VersionOptions) =>
        run(async (context) => (await import("./version.ts")).printVersion(context, options)),
      ),
    { does: "What is installed and what runs", command: "version" },
  );
}

function declareUp(program: Command, run: Run): void {
  const command = program
    .command("up")
    .argument("[files...]", "manifests: files, folders, or - for stdin")
    .description("make what the manifests say: apply the objects, start the VMs, wait until they run")
    .addOption(fileOption())
    .addOption(
      new Option("-n, --namespace <namespace>", "namespace for objects that name none").default("default"),
    )
    .addOption(
      new Option("--wait <for>", "come back when VMs run, when their guest agent answers, or at once")
        .choices(["running", "agent", "none"])
        .default("running"),
    )
    .addOption(
      new Option("--timeout <duration>", "how long to wait").argParser(duration).default(300_000, "5m"),
    )
    .option("--no-start", "leave VMs alone whose manifest says they are halted")
    .addOption(
      new Option(
        "--image-override <from=to>",
        "use another image where a manifest says FROM; may be repeated",
      ).argParser(collect),
    )
    .option("--rm", "on Ctrl-C or failure, remove what this command made")
    .addOption(outputOption("text", "json").default("text"))
    .action((files: readonly string[], options: UpOptions) =>
      run(async (context) => (await import("./up.ts")).up(context, files, options)),
    );
  examples(
    command,
    { does: "Start the VMs of a manifest and wait until they run", command: "up vm.yaml" },
    {
      does: "Wait until the guest agent answers, ten minutes at most",
      command: "up vm.yaml --wait=agent --timeout 10m",
    },
    {
      does: "Use a local OCI layout instead of a registry",
      command: "up vm.yaml --image-override quay.io/containerdisks/fedora=oci:$PWD/fedora:latest",
    },
    { does: "From another program", command: "up -f -" },
  );
}

function declareDown(program: Command, run: Run): void {
  const command = program
    .command("down")
    .argument("[what...]", "manifests, or names of VMs")
    .description("remove what the manifests made, or VMs by name, and wait until they are gone")
    .addOption(fileOption())
    .addOption(namespaceOption())
    .option("--all", "remove every VM and Service in every namespace, then let the daemon go")
    .addOption(
      new Option("--timeout <duration>", "how long to wait").argParser(duration).default(120_000, "2m"),
    )
    .addOption(outputOption("text", "json").default("text"))
    .action((what: readonly string[], options: DownOptions) =>
      run(async (context) => (await import("./down.ts")).down(context, what, options)),
    );
  examples(
    command,
    { does: "Remove what 'podtap up vm.yaml' made", command: "down vm.yaml" },
    { does: "Remove one VM by name", command: "down web" },
    { does: "Leave nothing running", command: "down --all" },
  );
}

function declareGc(program: Command, run: Run): void {
  examples(
    program
      .command("gc")
      .description("remove what crashed or killed VMs left behind: only what carries podtap's mark")
      .option("--dry-run", "say what would go, and leave it")
      .addOption(outputOption("text", "json").default("text"))
      .action((options: GcOptions) => run(async (context) => (await import("./gc.ts")).gc(context, options))),
    { does: "See what is left over", command: "gc --dry-run" },
    { does: "Remove it", command: "gc" },
  );
}
