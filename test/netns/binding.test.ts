/** The contract of bindings on the real kernel. */
import { execFileSync } from "node:child_process";
import { hostFeatures } from "../../src/linux/features.ts";
import { openKernel } from "../../src/linux/kernel.ts";
import { createNetns, deleteNetns } from "../../src/linux/netns.ts";
import { bindingContract, type OpenPod } from "../contract/binding.contract.ts";
import { requires } from "../support/netns.ts";

requires("root", "nft"); // throws where CI demands them

let made = 0;

function openPod(addresses: readonly string[]): ReturnType<OpenPod> {
  made += 1;
  const name = `pt-${process.pid}-${made}-binding`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  const commands = [
    "link add eth0 mtu 1450 type veth peer name outside",
    ...addresses.map((address) => `address add ${address} dev eth0${address.includes(":") ? " nodad" : ""}`),
    "link set outside up",
    "link set eth0 up",
  ];
  // Without link-local addresses of the kernel's own, whose coming and going would look like a leftover.
  const batch = ["link set outside addrgenmode none", "link set eth0 addrgenmode none", ""].join("\n");
  const [create, ...rest] = commands;
  execFileSync("ip", ["-n", name, "-batch", "-"], { input: `${create}\n${batch}${rest.join("\n")}\n` });
  const kernel = openKernel(path);
  return {
    kernel,
    close: () => {
      kernel.close();
      deleteNetns(path);
    },
  };
}

bindingContract("kernel", openPod, hostFeatures());
