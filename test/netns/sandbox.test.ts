/** The sandbox on the real kernel: what a process inside is and sees, and that nothing of it is ever left. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Sandboxes } from "../../src/cluster/local/sandbox-port.ts";
import { cgroupProcesses, listCgroups, readHierarchies } from "../../src/linux/sandbox/cgroups.ts";
import { deviceNumber, showMacvtaps } from "../../src/linux/sandbox/macvtap-nodes.ts";
import { isRunning, processesInNetns, startTimeOf } from "../../src/linux/sandbox/processes.ts";
import {
  adoptSandbox,
  createSandbox,
  destroySandbox,
  listSandboxes,
  spawnInSandbox,
} from "../../src/linux/sandbox/sandbox.ts";
import type { SandboxProcess, SandboxRecord, SandboxSpec } from "../../src/linux/sandbox/types.ts";
import { eventually, requires, type TestPod, testPod } from "../support/netns.ts";

// The compiler holds port and implementation together.
const port: Sandboxes = {
  createSandbox,
  spawnInSandbox,
  adoptSandbox,
  destroySandbox,
  listSandboxes,
  processesInNetns,
};

interface Place {
  readonly pod: TestPod;
  readonly spec: SandboxSpec;
  readonly folder: string;
}

function place(t: TestContext, label: string): Place {
  const pod = testPod(t, label);
  const folder = mkdtempSync("/run/pt-sandbox-");
  const own = join(folder, "p", label);
  mkdirSync(own, { recursive: true });
  mkdirSync(join(folder, "p", "neighbour"));
  chownSync(own, 107, 107);
  const spec: SandboxSpec = {
    podId: pod.name,
    netnsPath: pod.path,
    hostname: "web",
    resolvConf: "nameserver 10.96.0.10",
    limits: { memoryBytes: 128 * 1024 * 1024, cpuMillis: 500, pids: 64 },
    dirs: [own],
    readOnlyDirs: [],
    devices: ["net/tun"],
    uid: 107,
    gid: 107,
  };
  t.after(async () => {
    await port.destroySandbox(spec);
    rmSync(folder, { recursive: true });
    assert.deepEqual(processesInNetns(pod.path), []);
    assert.ok(!port.listSandboxes().includes(pod.name));
  });
  return { pod, spec, folder };
}

async function output(
  place: Place,
  sandbox: SandboxRecord,
  script: string,
  fds: readonly number[] = [],
): Promise<string> {
  const logFile = join(place.folder, "log");
  writeFileSync(logFile, "");
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ONLY: "this" };
  const process = port.spawnInSandbox(sandbox, {
    argv: ["/bin/sh", "-c", script],
    env,
    uid: 107,
    gid: 107,
    fds,
    logFile,
  });
  await ended(process);
  return readFileSync(logFile, "utf8");
}

/** `exit` does not keep the process alive, polling does. */
async function ended(process: SandboxProcess) {
  await eventually("the process ends", () => !isRunning(process) || undefined, 10_000);
  return process.exit;
}

const root = requires("root", "ip");

test("a process in a sandbox has no privilege at all", root, async (t) => {
  const here = place(t, "caps");
  const sandbox = port.createSandbox(here.spec);
  const status = await output(here, sandbox, "cat /proc/self/status; env; id -G; ls /proc/self/fd");
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    assert.match(status, new RegExp(`^${set}:\\t0000000000000000$`, "m"));
  }
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^Uid:(\t107){4}$/m);
  assert.match(status, /^Gid:(\t107){4}$/m);
  assert.match(status, /^Groups:\s*$/m);
  assert.match(status, /^ONLY=this$/m);
  assert.doesNotMatch(status, /HOME=/);
  // The shell's three and the one with which ls reads the folder.
  assert.match(status, /\n0\n1\n2\n3\n$/);
  const reaper = readFileSync(`/proc/${sandbox.pid1}/status`, "utf8");
  assert.match(reaper, /^CapBnd:\t0000000000000000$/m);
  assert.match(reaper, /^Uid:(\t65534){4}$/m);
});

test("a sandbox shows the pod's own folders and nothing of the host's", root, async (t) => {
  const here = place(t, "mounts");
  const { spec, folder } = here;
  const sandbox = port.createSandbox(spec);
  const seen = await output(
    here,
    sandbox,
    `hostname; whoami; cat /etc/resolv.conf
     echo "root: $(ls / | tr '\\n' ' ')"
     echo "run: $(ls /run | tr '\\n' ' ')"
     echo "pods: $(ls ${folder}/p)"
     echo "dev: $(ls /dev | tr '\\n' ' ')"
     echo "processes: $(ls /proc | grep -c '^[0-9]')"
     echo "links: $(ls /sys/class/net | tr '\\n' ' ')"
     touch /x 2>/dev/null && echo "root is writable"
     touch /usr/x /etc/x /dev/x 2>/dev/null && echo "system is writable"
     touch ${spec.dirs[0]}/mine /tmp/x /run/x 2>&1
     cat /etc/shadow /var/run/docker.sock /run/docker.sock 2>/dev/null && echo "secrets"
     echo 1 > /proc/sys/net/ipv4/ip_forward && echo "sysctl is writable"
     head -c 1 /proc/kcore | grep -q . && echo "kernel memory"
     mount -t tmpfs none /tmp 2>/dev/null && echo "mounting works"
     head -c 4 /dev/zero | wc -c
     echo "end"`,
  );
  assert.match(seen, /^web\nqemu\nnameserver 10\.96\.0\.10\n/);
  assert.match(seen, /^root: bin dev etc lib lib64 proc run sbin sys tmp usr var $/m);
  assert.equal(/^run: (.*)$/m.exec(seen)?.[1], `${folder.split("/")[2]} `);
  assert.match(seen, /^pods: mounts$/m);
  assert.match(seen, /^dev: fd full net null ptmx pts random shm stderr stdin stdout tty urandom zero $/m);
  const processes = Number(/^processes: (\d+)$/m.exec(seen)?.[1]);
  assert.ok(processes >= 2 && processes <= 6, `${processes} processes are seen`);
  assert.match(seen, /^links: lo $/m);
  assert.doesNotMatch(seen, /writable|secrets|kernel memory|mounting works/);
  assert.match(seen, /^4\nend$/m);
  assert.equal(readFileSync(join(spec.dirs[0] ?? "", "mine"), "utf8"), "");
  // What the host has mounted stays free: the sandbox keeps none of it.
  assert.doesNotMatch(readFileSync(`/proc/${sandbox.pid1}/mountinfo`, "utf8"), /netns|cgroup/);
});

test("limits are in force before a sandboxed program runs", root, async (t) => {
  const here = place(t, "limits");
  const sandbox = port.createSandbox(here.spec);
  assert.deepEqual(sandbox.missingLimits, []);
  const groups = await output(here, sandbox, "cat /proc/self/cgroup");
  assert.match(groups, new RegExp(`memory:/podtap/${here.spec.podId}$|^0::/podtap/${here.spec.podId}$`, "m"));
  assert.ok(cgroupProcesses(here.spec.podId).includes(sandbox.pid1));
  const hungry = port.spawnInSandbox(sandbox, {
    argv: ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"],
    env: {},
    uid: 107,
    gid: 107,
    fds: [],
    logFile: join(here.folder, "log"),
  });
  assert.deepEqual(await ended(hungry), { code: null, signal: "SIGKILL" });
  assert.ok(port.adoptSandbox(sandbox), "the sandbox outlives what was killed in it");
});

test("descriptors are handed over from 3 on and children are reaped", root, async (t) => {
  const here = place(t, "fds");
  const sandbox = port.createSandbox(here.spec);
  const path = join(here.folder, "handed");
  const files = ["one", "two"].map((text) => {
    writeFileSync(`${path}-${text}`, text);
    return openSync(`${path}-${text}`, "r");
  });
  const said = await output(here, sandbox, "cat <&3; cat <&4; (sleep 0.05 & )", files);
  for (const fd of files) closeSync(fd);
  assert.equal(said, "onetwo");
  await eventually("the orphan is reaped", () => processesInNetns(here.pod.path).length === 1 || undefined);
});

test(
  "a macvtap's own device is shown to its owner, and only as long as the macvtap lives",
  root,
  async (t) => {
    const here = place(t, "macvtap");
    const { pod } = here;
    const sandbox = port.createSandbox(here.spec);
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0");
    pod.run("ip", "link", "add", "tap0", "link", "eth0", "type", "macvtap", "mode", "bridge");
    // /dev itself is still read-only: a node cannot be made, and opening works for its owner.
    const look =
      "stat -c '%n %a %u %t:%T' /dev/tap[0-9]*; touch /dev/x 2>/dev/null && echo writable; (exec 5<>$(echo /dev/tap[0-9]*)) && echo open";
    const number = pod.run("sh", "-c", "cat /sys/class/net/tap0/macvtap/tap*/dev").trim();
    const index = pod.run("cat", "/sys/class/net/tap0/ifindex").trim();
    const [major = 0, minor = 0] = number.split(":").map(Number);
    for (let i = 0; i < 2; i++) {
      showMacvtaps(sandbox, ["tap0"], 107);
      const seen = await output(here, sandbox, look);
      assert.equal(seen, `/dev/tap${index} 600 107 ${major.toString(16)}:${minor.toString(16)}\nopen\n`);
    }
    showMacvtaps(sandbox, [], 107);
    assert.equal(await output(here, sandbox, "ls /dev | grep -c tap"), "0\n");
    assert.throws(() => showMacvtaps(sandbox, ["peer0"], 107), { code: "PT-KERNEL-2" });
    assert.throws(() => showMacvtaps(sandbox, ["../tap0"], 107), RangeError);
    assert.equal(deviceNumber(246, 1), 246 * 256 + 1);
    assert.equal(deviceNumber(246, 0x12345), 0x12300000 + 246 * 256 + 0x45);
  },
);

test("a sandbox is adopted by its record and destroyed twice", root, async (t) => {
  const here = place(t, "adopt");
  const sandbox = JSON.parse(JSON.stringify(port.createSandbox(here.spec))) as SandboxRecord;
  const child = port.spawnInSandbox(sandbox, {
    argv: ["/bin/sleep", "600"],
    env: {},
    uid: 107,
    gid: 107,
    fds: [],
    logFile: join(here.folder, "log"),
  });
  assert.deepEqual(port.adoptSandbox(sandbox), sandbox);
  assert.equal(port.adoptSandbox({ ...sandbox, startTime: "1" }), undefined);
  assert.equal(port.adoptSandbox({ ...sandbox, namespaces: { ...sandbox.namespaces, mnt: 1 } }), undefined);
  await port.destroySandbox(sandbox);
  assert.equal(startTimeOf(child.pid), undefined);
  assert.deepEqual(await child.exit, { code: null, signal: "SIGKILL" });
  assert.equal(port.adoptSandbox(sandbox), undefined);
  await port.destroySandbox(sandbox);
  assert.throws(
    () =>
      port.spawnInSandbox(sandbox, {
        argv: ["/bin/true"],
        env: {},
        uid: 107,
        gid: 107,
        fds: [],
        logFile: join(here.folder, "log"),
      }),
    {
      code: "PT-SANDBOX-8",
    },
  );
});

test("a sandbox made anew kills what an earlier start of the pod left", root, async (t) => {
  const here = place(t, "again");
  const first = port.createSandbox(here.spec);
  const second = port.createSandbox(here.spec);
  await eventually("the first is gone", () => port.adoptSandbox(first) === undefined || undefined);
  assert.ok(port.adoptSandbox(second));
});

test("what a daemon killed at any moment left of a sandbox is found and removed", root, async (t) => {
  const here = place(t, "killed");
  const daemon = `
    import { createSandbox, spawnInSandbox } from ${JSON.stringify(join(import.meta.dirname, "../../src/linux/sandbox/sandbox.ts"))};
    const spec = ${JSON.stringify(here.spec)};
    process.stdout.write("ready\\n");
    for (;;) {
      const sandbox = createSandbox(spec);
      spawnInSandbox(sandbox, { argv: ["/bin/sleep", "600"], env: {}, uid: 107, gid: 107, fds: [], logFile: ${JSON.stringify(join(here.folder, "log"))} });
    }`;
  for (const delay of [0, 1, 3, 6, 11, 19, 31]) {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", daemon], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    await port.destroySandbox({ podId: here.spec.podId, netnsPath: here.spec.netnsPath });
    assert.deepEqual(processesInNetns(here.pod.path), [], `after ${delay} ms`);
    assert.ok(!listCgroups(readHierarchies()).includes(here.spec.podId));
  }
});

test("the daemon's own namespace and hostile names are refused", root, async (t) => {
  const here = place(t, "refused");
  assert.throws(() => processesInNetns("/proc/self/ns/net"), { code: "PT-SANDBOX-2" });
  for (const change of [
    { podId: "../x" },
    { hostname: "a b" },
    { dirs: ["/run/../etc"] },
    { dirs: ["relative"] },
  ]) {
    assert.throws(() => createSandbox({ ...here.spec, ...change }), { code: "PT-SANDBOX-5" });
  }
  await assert.rejects(destroySandbox({ podId: "..", netnsPath: here.pod.path }), RangeError);
});

test("made and taken down again and again, each time whole", root, async (t) => {
  const here = place(t, "speed");
  const times: number[] = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    const sandbox = port.createSandbox(here.spec);
    const process = port.spawnInSandbox(sandbox, {
      argv: ["/bin/sleep", "600"],
      env: {},
      uid: 107,
      gid: 107,
      fds: [],
      logFile: join(here.folder, "log"),
    });
    times.push(performance.now() - start);
    assert.equal(readFileSync(`/proc/${process.pid}/status`, "utf8").includes("State:"), true);
    await port.destroySandbox(sandbox);
    assert.equal((await process.exit).signal, "SIGKILL");
  }
  t.diagnostic(`sandbox and first process, ms: ${times.map((time) => time.toFixed(1)).join(", ")}`);
});
