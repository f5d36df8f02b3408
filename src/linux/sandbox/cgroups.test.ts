import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { limitFiles, makeCgroup, parseHierarchies } from "./cgroups.ts";
import { etcFiles } from "./etc-files.ts";
import { stagingFor } from "./root-fs.ts";

const line = (mount: string, type: string, options: string) =>
  `30 23 0:26 / ${mount} rw,nosuid shared:4 - ${type} ${type} ${options}`;

test("the unified hierarchy is used where it has the controllers, v1's otherwise", () => {
  const v2 = [line("/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")].join("\n");
  assert.deepEqual(
    parseHierarchies(v2, () => "cpuset cpu io memory pids"),
    { unified: "/sys/fs/cgroup", v1: {} },
  );
  const hybrid = [
    line("/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
    line("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
    line("/sys/fs/cgroup/cpuset", "cgroup", "rw,cpuset"),
    line("/sys/fs/cgroup/unified", "cgroup2", "rw"),
    "",
  ].join("\n");
  assert.deepEqual(
    parseHierarchies(hybrid, () => ""),
    {
      v1: { memory: "/sys/fs/cgroup/memory", cpu: "/sys/fs/cgroup/cpu,cpuacct" },
    },
  );
  assert.deepEqual(
    parseHierarchies("", () => ""),
    { v1: {} },
  );
});

test("limits are said in the words of either version", () => {
  const limits = { memoryBytes: 1024, cpuMillis: 1500, pids: 10 };
  assert.deepEqual(limitFiles(limits, 2), [
    ["memory", "memory.max", "1024"],
    ["cpu", "cpu.max", "150000 100000"],
    ["pids", "pids.max", "10"],
  ]);
  assert.deepEqual(
    limitFiles(limits, 1).map(([, file, value]) => `${file}=${value}`),
    ["memory.limit_in_bytes=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000", "pids.max=10"],
  );
  assert.deepEqual(limitFiles({}, 2), []);
});

test("a limit that the host's groups cannot take is named", (t) => {
  const mount = mkdtempSync(join(tmpdir(), "pt-cgroup-"));
  t.after(() => rmSync(mount, { recursive: true }));
  const folder = join(mount, "podtap", "pod");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "memory.max"), "max");
  const limits = { memoryBytes: 4096, cpuMillis: 500 };
  const made = makeCgroup("pod", limits, { unified: mount, v1: {} });
  assert.deepEqual(made, { folders: [folder], missingLimits: ["cpu"] });
  assert.equal(readFileSync(join(folder, "memory.max"), "utf8"), "4096");
  assert.deepEqual(makeCgroup("pod", limits, { v1: {} }), { folders: [], missingLimits: ["memory", "cpu"] });
  assert.deepEqual(readdirSync(mount).toSorted(), ["cgroup.subtree_control", "podtap"]);
});

test("the sandbox knows its user, its name and its resolver", () => {
  const files = etcFiles({ hostname: "web", resolvConf: "nameserver 10.96.0.10", uid: 107, gid: 108 });
  assert.match(files["passwd"] ?? "", /^qemu:x:107:108:/m);
  assert.match(files["group"] ?? "", /^qemu:x:108:$/m);
  assert.match(files["hosts"] ?? "", /^127\.0\.1\.1 web$/m);
  assert.equal(files["resolv.conf"], "nameserver 10.96.0.10\n");
});

test("a sandbox is not built over what it is to show", () => {
  assert.equal(
    stagingFor(["/run/podtap/p/a", "/mnt/podtap"], () => true),
    "/media",
  );
  assert.equal(
    stagingFor(["/mntx"], () => true),
    "/mnt",
  );
  assert.equal(
    stagingFor([], (path) => path === "/tmp"),
    "/tmp",
  );
  assert.throws(() => stagingFor([], () => false), { code: "PT-SANDBOX-1" });
});
