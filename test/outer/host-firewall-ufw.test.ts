/** ufw itself: with it enabled on the host a pod reaches the world, and nobody new reaches the pod. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { privateEtc, standBeside } from "../support/firewall-story.ts";
import { onPrivateHost } from "../support/private-host.ts";
import { requires } from "../support/requires.ts";

onPrivateHost(import.meta.filename);

test("beside a real ufw, reloaded under it", requires("root", "ip", "nft", "ufw"), async (t) => {
  privateEtc();
  const config = "/etc/ufw/ufw.conf";
  // Rules that log are many, and every one is a program run under emulation.
  writeFileSync(config, readFileSync(config, "utf8").replace("LOGLEVEL=low", "LOGLEVEL=off"));
  const ufw = async (...args: readonly string[]): Promise<void> =>
    void execFileSync("ufw", args, { stdio: "ignore" });
  const policy = (family: string): RegExp =>
    new RegExp(
      `^what pods send does not leave the host: the policy of chain FORWARD of table ${family} filter is drop .*ufw`,
    );
  await standBeside(t, {
    start: () => ufw("--force", "enable"),
    reload: () => ufw("reload"),
    drops: ["v4", "v6"],
    told: [policy("ip"), policy("ip6")],
    adapted: ["iptables", "ip6tables"].flatMap((program) =>
      ["-i", "-o"].map((direction) => new RegExp(`^${program} -I FORWARD ${direction} podtap0`)),
    ),
    forgets: false,
  });
});
