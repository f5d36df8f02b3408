/** podtap's commands as commander knows them. Declared here, loaded when they run: `get` must not pay for `up`. */
import { Command } from "commander";
import { VERSION } from "../version.ts";
import type { Run } from "./declare.ts";
import { declareConnect } from "./declare-connect.ts";
import { declareLifecycle, declareMachine } from "./declare-lifecycle.ts";
import { declareLook } from "./declare-look.ts";

export interface Output {
  out(text: string): void;
  err(text: string): void;
}

export function buildProgram(run: Run, output: Output): Command {
  const program = new Command("podtap")
    .description("Runs virtual machines from KubeVirt manifests on this machine, wired into pod networks.")
    .version(VERSION, "--version", "print this program's version")
    .option("-v, --verbose", "say more when something fails")
    .option("--rootless", "VMs of your own, without root: a daemon of this user's (or PODTAP_ROOTLESS=1)")
    .helpCommand("help [command]", "show how a command is used")
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .showHelpAfterError("hint: add --help to see how it is used")
    .configureOutput({ writeOut: output.out, writeErr: output.err });
  declareLifecycle(program.commandsGroup("Run VMs:"), run);
  declareLook(program.commandsGroup("Look:"), run);
  declareConnect(program.commandsGroup("Reach into a VM:"), run);
  declareMachine(program.commandsGroup("This machine:"), run);
  return program.addHelpText("after", FOOTER);
}

const FOOTER = `
Begin with:
  podtap validate vm.yaml
  podtap up vm.yaml
  podtap get

No manifest at hand: 'make demo' in the checkout builds a small guest and starts it.

Exit codes: 0 done, 1 failed, 2 wrong usage or differences found, 3 the environment (not built, no root,
the daemon does not start). PODTAP_STATE_DIR, PODTAP_RUN_DIR and PODTAP_SOCKET move podtap's places; NO_COLOR
switches colours off.`;
