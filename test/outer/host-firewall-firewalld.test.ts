/** firewalld itself: with it on the host a pod reaches the world, and nobody new reaches the pod. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { privateEtc, standBeside } from "../support/firewall-story.ts";
import { eventually } from "../support/netns.ts";
import { onPrivateHost } from "../support/private-host.ts";
import { requires } from "../support/requires.ts";

onPrivateHost(import.meta.filename);

const ASK_STATE = [
  "--system",
  "--print-reply",
  "--dest=org.fedoraproject.FirewallD1",
  "/org/fedoraproject/FirewallD1",
  "org.freedesktop.DBus.Properties.Get",
  "string:org.fedoraproject.FirewallD1",
  "string:state",
];

test("beside a real firewalld, reloaded under it", requires("root", "ip", "nft", "firewalld"), async (t) => {
  privateEtc();
  mkdirSync("/run/dbus");
  const programs = [
    ["dbus-daemon", "--system", "--nofork", "--nopidfile"],
    ["firewalld", "--nofork"],
  ] as const;
  const start = ([program, ...args]: readonly [string, ...string[]]): void => {
    const child = spawn(program, args, { stdio: "ignore" });
    t.after(() => child.kill());
  };
  await standBeside(t, {
    start: async () => {
      start(programs[0]);
      await eventually(
        "the system bus listens",
        () =>
          spawnSync(
            "dbus-send",
            [
              "--system",
              "--print-reply",
              "--dest=org.freedesktop.DBus",
              "/",
              "org.freedesktop.DBus.ListNames",
            ],
            { stdio: "ignore" },
          ).status === 0 || undefined,
      );
      start(programs[1]);
      await eventually(
        "firewalld runs",
        () => spawnSync("dbus-send", ASK_STATE, { encoding: "utf8" }).stdout.includes("RUNNING") || undefined,
        30_000,
      );
    },
    reload: async () => void execFileSync("firewall-cmd", ["--reload"]),
    drops: ["v4", "v6"],
    told: [
      /^what pods send does not leave the host: rule \d+ of chain filter_FORWARD_POLICIES of table inet firewalld drops it \(firewalld's\)$/,
    ],
    adapted: [/^firewall-cmd --zone=trusted --add-interface=podtap0$/],
    forgets: true,
  });
});
