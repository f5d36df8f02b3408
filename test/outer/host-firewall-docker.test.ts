/** Docker itself: with a dockerd on the host a pod reaches the world, and nobody new reaches the pod. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { test } from "node:test";
import { standBeside } from "../support/firewall-story.ts";
import { forward } from "../support/firewalled-host.ts";
import { eventually } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";
import { requires } from "../support/requires.ts";

onPrivateHost(import.meta.filename);

const SOCKET = "/run/docker.sock";

test("beside a real dockerd, restarted under it", requires("root", "ip", "nft", "docker"), async (t) => {
  execFileSync("mount", ["-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]);
  let dockerd: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    dockerd = spawn("dockerd", ["--data-root", "/run/docker-data"], { stdio: "ignore" });
    await eventually("dockerd listens", () => existsSync(SOCKET) || undefined, 30_000);
    // Answered when it is through with its start, the rules among it.
    execFileSync("curl", ["-sf", "-m", "120", "--unix-socket", SOCKET, "http://docker/_ping"]);
  };
  const stop = async (): Promise<void> => {
    if (dockerd === undefined || dockerd.exitCode !== null) return;
    const ended = once(dockerd, "exit");
    dockerd.kill();
    await ended;
    rmSync(SOCKET, { force: true });
  };
  t.after(stop);
  await standBeside(t, {
    start: async () => {
      // Docker drops what others forward where it switched forwarding on itself.
      forward(false);
      await start();
      forward(true);
    },
    reload: async () => {
      await stop();
      await start();
    },
    drops: ["v4"],
    told: [
      /^what pods send does not leave the host: the policy of chain FORWARD of table ip filter is drop .*Docker/,
    ],
    adapted: [/^iptables -I DOCKER-USER -i podtap0/, /^iptables -I DOCKER-USER -o podtap0/],
    forgets: false,
  });
});
