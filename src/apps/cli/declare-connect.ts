/** Commands that reach into a running VM: console, ssh, port-forward. */
import { type Command, Option } from "commander";
import type { ConsoleOptions } from "./console.ts";
import { collect, duration, examples, namespaceOption, portNumber, type Run } from "./declare.ts";
import type { PortForwardOptions } from "./port-forward.ts";
import type { SshOptions } from "./ssh.ts";

export function declareConnect(program: Command, run: Run): void {
  declareConsole(program, run);
  declareSsh(program, run);
  declarePortForward(program, run);
}

function declareConsole(program: Command, run: Run): void {
  examples(
    program
      .command("console")
      .argument("<name>", "VM or VMI, also as vmi/NAME")
      .description("the serial console; Ctrl-] leaves it")
      .addOption(namespaceOption())
      .addOption(new Option("--timeout <duration>", "leave after this time; for scripts").argParser(duration))
      .action((name: string, options: ConsoleOptions) =>
        run(async (context) => (await import("./console.ts")).openConsole(context, name, options)),
      ),
    { does: "Log in where there is no network yet", command: "console web" },
    {
      does: "From a script: send a line, print what comes back for five seconds",
      command: "console web --timeout 5s <<< root",
    },
  );
}

function declareSsh(program: Command, run: Run): void {
  examples(
    program
      .command("ssh")
      .argument("<target>", "NAME, USER@NAME or USER@vmi/NAME")
      .argument("[command...]", "command to run instead of a shell; after -- when it has options")
      .description("log in with this machine's ssh; works whatever ports the VM declares")
      .addOption(namespaceOption())
      .addOption(
        new Option("-p, --port <port>", "port of the guest's ssh server").argParser(portNumber).default(22),
      )
      .addOption(
        new Option("-l, --username <user>", "log in as; default: the user of the VM's cloud-init, else root"),
      )
      .addOption(new Option("-i, --identity-file <key>", "private key"))
      .addOption(
        new Option(
          "-t, --local-ssh-opts <option>",
          "option handed to ssh as it is, such as -oLogLevel=DEBUG; may be repeated",
        ).argParser(collect),
      )
      .action((target: string, command: readonly string[], options: SshOptions) =>
        run(async (context) => (await import("./ssh.ts")).ssh(context, target, command, options)),
      ),
    { does: "Log in", command: "ssh demo@web" },
    { does: "Run one command with a key", command: "ssh -i ~/.ssh/id_ed25519 fedora@web -- ip -br addr" },
  );
}

function declarePortForward(program: Command, run: Run): void {
  examples(
    program
      .command("port-forward")
      .argument("<name>", "VM or VMI, also as vmi/NAME")
      .argument("<ports...>", "PORT, LOCAL:PORT, or tcp/LOCAL:PORT")
      .description("reach ports of the guest on this machine's loopback, declared or not (TCP)")
      .addOption(namespaceOption())
      .addOption(new Option("--address <ip>", "listen on this address").default("127.0.0.1"))
      .option("--stdio", "join the one port with stdin and stdout; for ssh's ProxyCommand")
      .action((name: string, ports: readonly string[], options: PortForwardOptions) =>
        run(async (context) =>
          (await import("./port-forward.ts")).portForward(context, name, ports, options),
        ),
      ),
    { does: "The guest's port 80 on http://localhost:8080", command: "port-forward web 8080:80" },
    {
      does: "As ssh's ProxyCommand",
      command: "port-forward --stdio web 22",
    },
  );
}
