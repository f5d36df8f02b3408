/** Commands that look and change nothing: get, describe, validate, plan, dumpxml, logs, bench. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { DEFAULT_SETTINGS } from "../../bindings/settings.ts";
import { WANTS } from "../../report/choose.ts";
import type { BenchOptions } from "./bench.ts";
import type { ChooseOptions } from "./choose.ts";
import {
  duration,
  examples,
  fileOption,
  namespaceOption,
  outputOption,
  type Run,
  wholeNumber,
} from "./declare.ts";
import type { DescribeOptions } from "./describe.ts";
import type { DumpXmlOptions } from "./dumpxml.ts";
import type { GetOptions } from "./get.ts";
import type { LogsOptions } from "./logs.ts";
import type { PlanOptions } from "./plan.ts";
import type { ValidateOptions } from "./validate.ts";

export function declareLook(program: Command, run: Run): void {
  declareGet(program, run);
  declareValidate(program, run);
  declarePlan(program, run);
  declareChoose(program, run);
  declareLogs(program, run);
  declareBench(program, run);
}

function declareGet(program: Command, run: Run): void {
  examples(
    program
      .command("get")
      .argument(
        "[what...]",
        "KIND, KIND NAME… or KIND/NAME…; kinds: vm, vmi, pod, svc, net-attach-def, secret, cm, event, node, ns, all",
      )
      .description("list objects; VMs and their running instances when no kind is given")
      .option("-o, --output <format>", "wide, json, yaml, name or jsonpath=TEMPLATE")
      .addOption(namespaceOption())
      .option("-A, --all-namespaces", "in every namespace")
      .option("-l, --selector <labels>", "only objects with these labels: app=web,tier!=db")
      .option("-w, --watch", "keep printing changes")
      .option("--no-headers", "leave out the line of column names")
      .action((what: readonly string[], options: GetOptions) =>
        run(async (context) => (await import("./get.ts")).get(context, what, options)),
      ),
    { does: "What runs, with its addresses", command: "get" },
    { does: "Everything there is about one instance", command: "get vmi web -o yaml" },
    { does: "The address to dial", command: "get vmi web -o jsonpath='{.status.interfaces[0].ipAddress}'" },
    { does: "Follow the instances in all namespaces", command: "get vmi -A -w" },
  );
  examples(
    program
      .command("describe")
      .argument("<what...>", "KIND, KIND NAME… or KIND/NAME…")
      .description("an object for people: NICs with labelled addresses, conditions, events")
      .addOption(namespaceOption())
      .action((what: readonly string[], options: DescribeOptions) =>
        run(async (context) => (await import("./describe.ts")).describe(context, what, options)),
      ),
    { does: "Why does it not come up? The events are at the end", command: "describe vmi web" },
  );
}

function declareValidate(program: Command, run: Run): void {
  examples(
    program
      .command("validate")
      .argument("[files...]", "manifests: files, folders, or - for stdin")
      .description(
        "check manifests without a daemon and without root; all problems at once, with file and line",
      )
      .addOption(fileOption())
      .option("--strict", "warnings fail too")
      .addOption(outputOption("text", "json", "yaml").default("text"))
      .action((files: readonly string[], options: ValidateOptions) =>
        run(async (context) => (await import("./validate.ts")).validate(context, files, options)),
      ),
    { does: "Before you commit it", command: "validate vm.yaml" },
    {
      does: "A folder, for a CI job, where warnings count",
      command: "validate -f manifests/ --strict -o json",
    },
  );
}

function declarePlan(program: Command, run: Run): void {
  examples(
    program
      .command("plan")
      .argument("[what...]", "manifests, or the name of a VM that runs")
      .description("how the NICs are (or would be) wired, and what would change")
      .addOption(fileOption())
      .addOption(namespaceOption())
      .option("--observed <file>", "plan for this pod namespace (JSON), offline")
      .option("--rules", "print the nft rules, not only their number")
      .option("--exit-code", "exit with 2 when something would change")
      .addOption(outputOption("text", "json").default("text"))
      .action((what: readonly string[], options: PlanOptions) =>
        run(async (context) => (await import("./plan.ts")).plan(context, what, options)),
      ),
    { does: "What a manifest leads to, before it runs", command: "plan vm.yaml --rules" },
    { does: "Has the wiring of a running VM drifted?", command: "plan web --exit-code" },
    {
      does: "Without a daemon, for a namespace that was recorded",
      command: "plan -f vm.yaml --observed pod.json",
    },
  );
  examples(
    program
      .command("dumpxml")
      .argument("[name]", "VM or VMI, also as vmi/NAME")
      .description("the libvirt domain XML of a running VM, as libvirt has it; with -f, of a manifest")
      .addOption(fileOption())
      .addOption(namespaceOption())
      .option("--observed <file>", "with -f: plan the NICs for this pod namespace (JSON)")
      .action((name: string | undefined, options: DumpXmlOptions) =>
        run(async (context) => (await import("./dumpxml.ts")).dumpXml(context, name, options)),
      ),
    { does: "The NIC as libvirt sees it", command: "dumpxml web | grep -A9 '<interface'" },
    { does: "What a manifest leads to, offline", command: "dumpxml -f vm.yaml" },
  );
}

function declareChoose(program: Command, run: Run): void {
  examples(
    program
      .command("choose")
      .argument("[files...]", "manifests: files, folders, or - for stdin")
      .description("which binding fits each NIC: the reason, the price, and what is ruled out and why")
      .addOption(fileOption())
      .addOption(namespaceOption())
      .option("--want <wishes>", `what it must be, separated by commas: ${WANTS.join(", ")}`, wishes)
      .option("--ask", "ask for the wishes one by one")
      .addOption(outputOption("text", "wide", "json", "yaml").default("text"))
      .action((files: readonly string[], options: ChooseOptions) =>
        run(async (context) => (await import("./choose.ts")).choose(context, files, options)),
      ),
    { does: "What fits this manifest on this host?", command: "choose vm.yaml" },
    { does: "The guest must be reachable directly, and fast", command: "choose vm.yaml --want direct,speed" },
    { does: "Be asked, and then choose", command: "choose -f vm.yaml --ask" },
  );
}

function wishes(value: string): readonly string[] {
  const words = value.split(",").map((word) => word.trim());
  const unknown = words.find((word) => !WANTS.includes(word));
  if (unknown !== undefined) throw new InvalidArgumentError(`${unknown} is none of ${WANTS.join(", ")}.`);
  return words;
}

function declareLogs(program: Command, run: Run): void {
  examples(
    program
      .command("logs")
      .argument("<name>", "VM or VMI, also as vmi/NAME")
      .description("what the parts of a VM wrote")
      .addOption(
        new Option("--source <part>", "whose log")
          .choices(["launcher", "serial", "qemu", "libvirtd"])
          .default("launcher"),
      )
      .addOption(namespaceOption())
      .option("-f, --follow", "keep printing what is added")
      .option("--tail <lines>", "only the last lines", wholeNumber)
      .action((name: string, options: LogsOptions) =>
        run(async (context) => (await import("./logs.ts")).logs(context, name, options)),
      ),
    { does: "What the guest's kernel printed", command: "logs web --source serial --tail 50" },
    { does: "Follow the launcher", command: "logs web -f" },
  );
}

function declareBench(program: Command, run: Run): void {
  examples(
    program
      .command("bench")
      .argument(
        "<scenario>",
        "phase1: privileged wiring; datapath: latency and throughput of every binding; dhcp: leases at the guest's door; apply: until QEMU runs; memory: beside QEMU",
      )
      .description("measure on this machine; nothing is quoted that was not measured (root)")
      .option("--binding <name>", "binding to measure; of phase1 also all", DEFAULT_SETTINGS.defaultBinding)
      .option("--nics <count>", "how many NICs; of apply and memory, how many VMs", wholeNumber)
      .addOption(new Option("--duration <duration>", "how long, where that applies").argParser(duration))
      .option("--rounds <count>", "of datapath: how many interleaved rounds", wholeNumber)
      .option("--quick", "of datapath: without the tables by size")
      .addOption(
        new Option("--guest <kind>", "of datapath: what sits behind the wiring")
          .choices(["namespace", "qemu"])
          .default("namespace"),
      )
      .addOption(outputOption("text", "json").default("text"))
      .action((scenario: string, options: BenchOptions) =>
        run(async (context) => (await import("./bench.ts")).bench(context, scenario, options)),
      ),
    { does: "Privileged wiring of fifty NICs", command: "bench phase1 --nics 50" },
    { does: "DHCP at the guest's door, for a script", command: "bench dhcp -o json" },
    { does: "Every binding against a direct tap", command: "bench datapath --quick" },
    { does: "The same with real guests", command: "bench datapath --quick --guest qemu" },
    { does: "From a manifest to QEMU running, with a daemon of its own", command: "bench apply" },
  );
}
