/** What people type and what it means: the pure parts of the command line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PodtapError } from "../../base/errors.ts";
import { splitAtEscape } from "./console.ts";
import { exitCodeOf, failureAsJson, renderFailure, usageError } from "./failure.ts";
import { parseQuery } from "./get-query.ts";
import { parseForward } from "./port-forward.ts";
import { sshArguments } from "./ssh.ts";
import { cloudInitUser } from "./ssh-login.ts";
import { startHalted } from "./start-halted.ts";
import { parseLogin, parseTarget } from "./target.ts";
import { formatElapsed, parseDuration } from "./terminal.ts";
import { parseOverrides, programName } from "./up.ts";

test("durations are read as kubectl writes them", () => {
  assert.equal(parseDuration("5m"), 300_000);
  assert.equal(parseDuration("1m30s"), 90_000);
  assert.equal(parseDuration("500ms"), 500);
  assert.equal(parseDuration("2.5s"), 2500);
  assert.equal(parseDuration("10"), 10_000);
  for (const wrong of ["", "5 m", "m", "-1s", "1d", "1m-"]) assert.equal(parseDuration(wrong), undefined);
});

test("elapsed times are short", () => {
  assert.deepEqual([40, 9940, 9960, 59_400, 61_000, 3_600_000].map(formatElapsed), [
    "0.0s",
    "9.9s",
    "10s",
    "59s",
    "1m01s",
    "60m00s",
  ]);
});

test("VMs are named with or without their kind; nothing else passes for a name", () => {
  assert.deepEqual(parseTarget("web"), { kind: "vmi", name: "web" });
  assert.deepEqual(parseTarget("vm/web.prod"), { kind: "vm", name: "web.prod" });
  for (const wrong of ["pod/web", "../x", "-web", "Web", "a b", "web/x", "", "x".repeat(254)]) {
    assert.throws(() => parseTarget(wrong), { code: "PT-USAGE-1" }, wrong);
  }
});

test("a login may name its user, and a user never looks like an option", () => {
  assert.deepEqual(parseLogin("fedora@vmi/web"), { user: "fedora", name: "web" });
  assert.deepEqual(parseLogin("web"), { name: "web" });
  assert.throws(() => parseLogin("-oProxyCommand=x@web"), { code: "PT-USAGE-1" });
});

test("port forwards are PORT, LOCAL:PORT or :PORT, TCP", () => {
  assert.deepEqual(parseForward("80"), { local: 80, remote: 80 });
  assert.deepEqual(parseForward("8080:80"), { local: 8080, remote: 80 });
  assert.deepEqual(parseForward("tcp/:22"), { local: 0, remote: 22 });
  for (const wrong of ["0", "65536", "1:2:3", "udp/53", "ssh", "70000:22"]) {
    assert.throws(() => parseForward(wrong), { code: "PT-USAGE-1" }, wrong);
  }
});

test("image overrides split at the first equals sign", () => {
  assert.deepEqual(parseOverrides(["a/b=oci:/x=y:t", "c=d"]), { "a/b": "oci:/x=y:t", c: "d" });
  for (const wrong of ["a", "=b", "a="]) assert.throws(() => parseOverrides([wrong]), { code: "PT-USAGE-1" });
});

test("get's words name kinds and objects in kubectl's ways", () => {
  const shown = (...words: readonly string[]): readonly string[] =>
    parseQuery(words).map(({ resource, names }) => `${resource.plural} ${names?.join("+") ?? "*"}`);
  assert.deepEqual(shown(), ["virtualmachines *", "virtualmachineinstances *"]);
  assert.deepEqual(shown("vmi", "a", "b"), ["virtualmachineinstances a+b"]);
  assert.deepEqual(shown("vm/a", "svc/b"), ["virtualmachines a", "services b"]);
  assert.deepEqual(shown("net-attach-def,cm"), ["network-attachment-definitions *", "configmaps *"]);
  for (const wrong of [["vm,svc", "a"], ["sheep"], ["vm/a/b"], ["vm/a", "b"]]) {
    assert.throws(() => parseQuery(wrong), { code: "PT-USAGE-1" }, wrong.join(" "));
  }
});

test("on a terminal Ctrl-] leaves and everything before it is sent; in a pipe it is a byte", () => {
  const bytes = Uint8Array.of(0x61, 0x1d, 0x62);
  assert.deepEqual(splitAtEscape(bytes, true), { forward: Uint8Array.of(0x61), leave: true });
  assert.deepEqual(splitAtEscape(bytes, false), { forward: bytes, leave: false });
});

test("only halted and manual VMs are changed by up", () => {
  const vm = (spec: object): Parameters<typeof startHalted>[0] => ({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name: "a" },
    spec: { ...spec, template: {} },
  });
  assert.deepEqual(startHalted(vm({ running: false })).object.spec, { runStrategy: "Always", template: {} });
  assert.deepEqual(startHalted(vm({ runStrategy: "Manual" })).object.spec, {
    runStrategy: "Once",
    template: {},
  });
  for (const spec of [{ running: true }, { runStrategy: "Always" }, { runStrategy: "RerunOnFailure" }]) {
    assert.deepEqual(startHalted(vm(spec)), { object: vm(spec) });
  }
});

test("the login user is cloud-init's, when it can be read", () => {
  const volume = (source: object): Parameters<typeof cloudInitUser>[0] => [
    { name: "c", cloudInitNoCloud: source },
  ];
  assert.equal(cloudInitUser(volume({ userData: "#cloud-config\nuser: fedora\npassword: x\n" })), "fedora");
  const encoded = Buffer.from('#cloud-config\nuser: "demo"\n').toString("base64");
  assert.equal(cloudInitUser(volume({ userDataBase64: encoded })), "demo");
  assert.equal(cloudInitUser(volume({ userData: "user: -oProxyCommand=x" })), undefined);
  assert.equal(cloudInitUser(volume({ secretRef: { name: "s" } })), undefined);
});

const SSH = {
  user: "demo",
  name: "web",
  namespace: "default",
  port: 22,
  podtap: ["/opt/no de/node", "/opt/100%/cli.js"],
  knownHosts: "/root/.local/state/podtap/known-hosts/uid",
  more: [],
  command: ["ip", "-br", "addr"],
};

test("ssh gets podtap as its ProxyCommand, a host alias and the command behind --", () => {
  const words = sshArguments(SSH);
  assert.equal(
    words[0],
    "-oProxyCommand='/opt/no de/node' /opt/100%%/cli.js port-forward --stdio -n default web 22",
  );
  assert.ok(words.includes("-oHostKeyAlias=vmi.web.default"));
  assert.deepEqual(words.slice(words.indexOf("--")), ["--", "vmi.web.default", "ip", "-br", "addr"]);
});

test("no word of the ProxyCommand ends before it should, whatever it holds", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }).filter((word) => !/[\0\n]/.test(word)),
      (word) => {
        const proxy = sshArguments({ ...SSH, podtap: [word] })[0]?.slice("-oProxyCommand=".length) ?? "";
        // ssh's own % goes first, then the shell's quotes.
        const unquoted = proxy.replaceAll("%%", "%").replaceAll("'\\''", "\0").replaceAll("'", "");
        assert.equal(unquoted.replaceAll("\0", "'").split(" port-forward")[0], word);
      },
    ),
  );
});

test("exit codes follow from the error's family", () => {
  const error = (code: `PT-${Uppercase<string>}-${number}`): PodtapError =>
    new PodtapError({ code, message: "m" });
  assert.deepEqual(
    [error("PT-USAGE-1"), error("PT-ENV-2"), error("PT-API-404"), new Error("x")].map(exitCodeOf),
    [2, 3, 1, 1],
  );
});

test("an error is one line what and one line what to do, or JSON", () => {
  const error = usageError("no manifest given", "name one");
  assert.equal(renderFailure(error, false), "error: no manifest given (PT-USAGE-1)\nhint: name one\n");
  assert.deepEqual(JSON.parse(failureAsJson(error)).error, {
    message: "no manifest given",
    code: "PT-USAGE-1",
    retry: "never",
    blame: "manifest",
    hint: "name one",
  });
});

test("commands are suggested as the user calls podtap", () => {
  const named = (environment: Record<string, string>): string =>
    programName({ environment } as Parameters<typeof programName>[0]);
  assert.equal(named({}), "podtap");
  assert.equal(named({ PODTAP_ARGV0: "bin/podtap", PATH: "/usr/bin" }), "bin/podtap");
  assert.equal(named({ PODTAP_ARGV0: "/usr/local/bin/podtap", PATH: "/bin:/usr/local/bin" }), "podtap");
});
