/** Taking a pod's NIC aside and giving it back, on the real kernel. */
import { execFileSync } from "node:child_process";
import { hostFeatures } from "../../src/linux/features.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import { createNetns, deleteNetns } from "../../src/linux/netns.ts";
import { type OpenNic, podNicContract } from "../contract/pod-nic.contract.ts";
import { requires } from "../support/netns.ts";

requires("root", "tap"); // throws where CI demands them

let made = 0;

podNicContract("kernel", openNic, {
  park: hostFeatures().dummy ? "dummy" : "bridge",
  killedIn: ["a bridge with routes", "AWS", "CNI's ptp", "many ways"],
});

/** What iproute2 shows is compared too: more than podtap looks at. */
function openNic(): ReturnType<OpenNic> {
  made += 1;
  const name = `pt-${process.pid}-${made}-nic`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  const commands = [
    "link add eth0 address 0a:58:0a:f4:00:05 mtu 1450 type veth peer name outside mtu 1450",
    // Link-local addresses of the kernel's own come late, and so does their loss.
    "link set outside addrgenmode none",
    "link set eth0 addrgenmode none",
    "link set outside up",
    "link set eth0 up",
  ];
  execFileSync("ip", ["-n", name, "-batch", "-"], { input: `${commands.join("\n")}\n` });
  const kernel = openKernel(path);
  const show = (...what: readonly string[]): string =>
    execFileSync("ip", ["-n", name, "-d", ...what], { encoding: "utf8" });
  return {
    kernel,
    shown: () =>
      [
        show("address", "show", "dev", "eth0"),
        show("-4", "route", "show", "table", "all"),
        show("-6", "route", "show", "table", "all"),
        show("neighbour"),
      ].join("\n"),
    close: () => {
      kernel.close();
      deleteNetns(path);
    },
  };
}
