/**
 * Real kubectl against the daemon as users run it, through a TCP port of this test in front of the socket. Whichever
 * kubectl there is: Debian 12 has 1.20, others have newer ones. No guest is started.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { connect, createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { manifest, onDaemonHost, podtap } from "../support/daemon-host.ts";
import { eventually, requires } from "../support/netns.ts";

onDaemonHost(import.meta.filename);

const VM = `apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web, labels: {app: web}}
spec:
  runStrategy: Halted
  template:
    metadata: {labels: {app: web}}
    spec:
      domain:
        memory: {guest: 64Mi}
        devices:
          interfaces: [{name: default, masquerade: {}, ports: [{name: http, port: 80}]}]
      networks: [{name: default, pod: {}}]`;
const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8080}]`;
const NAD = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan}
spec:
  config: '{"cniVersion":"0.4.0","name":"lan","type":"bridge","bridge":"lan0"}'`;

interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Kubectl {
  readonly process: ChildProcess;
  readonly heard: { out: string; err: string };
  readonly ended: Promise<Said>;
}

describe("kubectl", requires("root", "ip", "nft", "libvirt", "cni", "kubectl"), () => {
  let proxy: Server;
  let address = "";
  let file = "";

  before(async () => {
    file = manifest(VM, SERVICE, NAD);
    await podtap("get", "vmi");
    proxy = createServer((client) => {
      const daemon = connect("/run/podtap/podtap.sock");
      client.pipe(daemon).pipe(client);
      client.on("error", () => daemon.destroy());
      daemon.on("error", () => client.destroy());
    });
    await new Promise<void>((listening) => proxy.listen(0, "127.0.0.1", listening));
    const bound = proxy.address();
    address = typeof bound === "object" && bound !== null ? `http://127.0.0.1:${bound.port}` : "";
  });
  after(async () => {
    proxy.close();
    await podtap("down", "--all");
  });

  function begin(...words: readonly string[]): Kubectl {
    const child = spawn("kubectl", ["--server", address, ...words], {
      env: { PATH: process.env["PATH"], HOME: "/run/tmp", KUBECONFIG: "/dev/null", LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const heard = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text) => {
      heard.out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      heard.err += text;
    });
    const ended = new Promise<Said>((resolve) => child.once("close", (code) => resolve({ ...heard, code })));
    return { process: child, heard, ended };
  }

  /** What it prints, of a command that must do well. */
  async function kubectl(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await begin(...words).ended;
    assert.equal(code, 0, `kubectl ${words.join(" ")}: ${err}${out}`);
    return out;
  }

  /** What it complains of, of a command that must not. */
  async function refused(...words: readonly string[]): Promise<string> {
    const { code, out, err } = await begin(...words).ended;
    assert.equal(code, 1, `kubectl ${words.join(" ")}: ${out}`);
    return err;
  }

  test("apply makes objects, and a second time changes nothing; podtap sees no difference either", async () => {
    assert.deepEqual((await kubectl("apply", "-f", file)).trim().split("\n"), [
      "virtualmachine.kubevirt.io/web created",
      "service/web created",
      "networkattachmentdefinition.k8s.cni.cncf.io/lan created",
    ]);
    const again = await kubectl("apply", "-f", file);
    assert.deepEqual(again.match(/(created|configured|unchanged)/g), ["unchanged", "unchanged", "unchanged"]);
    const said = await podtap("up", file, "--no-start");
    assert.deepEqual(said.match(/(created|configured|unchanged)/g), ["unchanged", "unchanged", "unchanged"]);
  });

  test("get prints tables by short names, several kinds, all, selected, wide, with labels", async () => {
    assert.match(await kubectl("get", "vm"), /^NAME +AGE +STATUS +READY\nweb +\S+ +Stopped +False\n$/);
    const several = await kubectl("get", "vm,svc,net-attach-def");
    assert.match(several, /^virtualmachine\.kubevirt\.io\/web /m);
    assert.match(several, /^service\/web +ClusterIP +10\.\S+ +<none> +8080\/TCP /m);
    assert.match(several, /^networkattachmentdefinition\.k8s\.cni\.cncf\.io\/lan /m);
    assert.match(await kubectl("get", "all"), /^virtualmachine\.kubevirt\.io\/web /m);
    assert.match(await kubectl("get", "vm", "-A"), /^NAMESPACE +NAME .*\ndefault +web /);
    assert.match(await kubectl("get", "vmi", "-o", "wide"), /^$/);
    assert.match(await kubectl("get", "svc", "-o", "wide"), /SELECTOR\nweb .* app=web\n$/);
    assert.match(await kubectl("get", "vm", "--show-labels"), / app=web\n$/);
    assert.equal(
      await kubectl("get", "vm", "-l", "app=web", "-o", "name"),
      "virtualmachine.kubevirt.io/web\n",
    );
    assert.equal(await kubectl("get", "vm", "-l", "app!=web", "-o", "name"), "");
  });

  test("get prints objects as YAML, JSON, by JSONPath and in columns of one's own", async () => {
    const vm = JSON.parse(await kubectl("get", "vm", "web", "-o", "json"));
    assert.equal(vm.spec.template.spec.domain.memory.guest, "64Mi");
    assert.match(await kubectl("get", "vm", "web", "-o", "yaml"), /^ {2}runStrategy: Halted$/m);
    assert.equal(await kubectl("get", "vm", "web", "-o", "jsonpath={.status.printableStatus}"), "Stopped");
    const columns = "custom-columns=N:.metadata.name,S:.spec.runStrategy";
    assert.match(await kubectl("get", "vm", "-o", columns), /^N +S\nweb +Halted\n$/);
    assert.equal(JSON.parse(await kubectl("get", "vm", "-o", "json")).items.length, 1);
  });

  test("describe shows kinds it knows and kinds it does not, as it shows a cluster's", async () => {
    const service = await kubectl("describe", "svc", "web");
    assert.match(service, /^Port: +http +8080\/TCP$/m);
    assert.match(service, /^TargetPort: +8080\/TCP$/m);
    assert.match(await kubectl("describe", "vm", "web"), /Printable Status: +Stopped/);
  });

  test("patch, label and annotate change what they name", async () => {
    await kubectl("patch", "vm", "web", "--type=merge", "-p", '{"metadata":{"labels":{"x":"y"}}}');
    await kubectl(
      "patch",
      "vm",
      "web",
      "--type=json",
      "-p",
      '[{"op":"remove","path":"/metadata/labels/app"}]',
    );
    await kubectl("label", "vm", "web", "tier=front");
    await kubectl("annotate", "vm", "web", "note=hi");
    const { metadata } = JSON.parse(await kubectl("get", "vm", "web", "-o", "json"));
    assert.deepEqual(metadata.labels, { x: "y", tier: "front" });
    assert.equal(metadata.annotations.note, "hi");
    // Strategic, as kubectl has it for the kinds it knows: of a list by its key.
    await kubectl("patch", "svc", "web", "-p", '{"spec":{"ports":[{"port":8080,"targetPort":81}]}}');
    const service = JSON.parse(await kubectl("get", "svc", "web", "-o", "json"));
    assert.deepEqual(service.spec.ports, [{ name: "http", port: 8080, protocol: "TCP", targetPort: 81 }]);
    assert.match(await kubectl("apply", "-f", file), /service\/web (configured|unchanged)/);
    assert.match(await kubectl("get", "vm", "web", "--show-labels"), /app=web/);
  });

  test("watch tells what comes, changes and goes", async (t) => {
    const watching = begin("get", "configmap", "-w", "-o", "name");
    t.after(() => watching.process.kill("SIGKILL"));
    await kubectl("create", "configmap", "seen", "--from-literal=k=v");
    await eventually("it came", () => watching.heard.out.includes("configmap/seen"), 30_000);
    const come = watching.heard.out.length;
    await kubectl("label", "configmap", "seen", "a=b");
    await eventually("it changed", () => watching.heard.out.slice(come).includes("configmap/seen"), 30_000);
    const waiting = kubectl("wait", "--for=delete", "configmap/seen", "--timeout=30s");
    await kubectl("delete", "configmap", "seen");
    // An older kubectl that finds it gone already complains.
    await waiting.catch((thrown) => assert.match(String(thrown), /no matching resources/));
  });

  test("what is wrong is refused in the server's words", async () => {
    assert.match(
      await refused("get", "vm", "none"),
      /\(NotFound\): virtualmachines\.kubevirt\.io "none" not found/,
    );
    assert.match(await refused("create", "-f", file), /\(AlreadyExists\): .* "web" already exists/);
    const two = manifest(VM.replace("masquerade: {}", "masquerade: {}, bridge: {}"));
    assert.match(
      await refused("apply", "-f", two),
      /The VirtualMachine "web" is invalid: spec\.template\.spec\.domain\.devices\.interfaces\[0\]: .*exactly one/,
    );
    const typo = manifest(VM.replace("memory:", "memroy:"));
    assert.match(await refused("apply", "-f", typo), /unknown field "memroy"/);
  });

  test("a warning of admission is shown", async () => {
    const old = manifest(VM.replace("name: web,", "name: old,").replace("masquerade: {}", "slirp: {}"));
    const { code, err } = await begin("apply", "-f", old).ended;
    assert.equal(code, 0, err);
    assert.match(err, /^Warning: .*slirp/m);
  });

  test("create makes what kubectl itself makes, in a namespace of its own", async () => {
    await kubectl("create", "namespace", "other");
    await kubectl("-n", "other", "create", "secret", "generic", "s", "--from-literal=k=v");
    assert.equal(await kubectl("-n", "other", "get", "secret", "s", "-o", "jsonpath={.data.k}"), "dg==");
    await kubectl("delete", "namespace", "other");
    assert.equal(await kubectl("-n", "other", "get", "secret", "-o", "name"), "");
  });

  test("diff and a dry run at the server say what would change, and change nothing", async () => {
    const changed = manifest(VM.replace("guest: 64Mi", "guest: 96Mi"));
    const { code, out, err } = await begin("diff", "-f", changed).ended;
    assert.equal(code, 1, err);
    assert.match(out, /^- +guest: 64Mi\n\+ +guest: 96Mi$/m);
    assert.match(
      await kubectl("apply", "-f", changed, "--dry-run=server"),
      /web configured \(server dry run\)/,
    );
    assert.equal(
      await kubectl("get", "vm", "web", "-o", "jsonpath={.spec.template.spec.domain.memory.guest}"),
      "64Mi",
    );
  });

  test("explain knows the fields that manifests may have", async (t) => {
    if ((await minor()) < 27) return t.diagnostic("this kubectl explains by another document");
    const domain = await kubectl("explain", "vm.spec.template.spec.domain");
    assert.match(domain, /^KIND: +VirtualMachine$/m);
    assert.match(domain, /^ *memory\t<Memory>$/m);
    assert.match(domain, /^ *devices\t<Devices> -required-$/m);
    const nic = await kubectl("explain", "vmi.spec.domain.devices.interfaces");
    assert.match(nic, /^ *masquerade\t<[^>]*>$/m);
    assert.match(nic, /^ *ports\t<\[\]Port>$/m);
    assert.match(await kubectl("explain", "svc", "--recursive"), /^ *targetPort\t/m);
    assert.match(await refused("explain", "vm.spec.nonsense"), /field "nonsense" does not exist/);
  });

  async function minor(): Promise<number> {
    const { clientVersion } = JSON.parse(await kubectl("version", "--client", "-o", "json"));
    return Number.parseInt(clientVersion.minor, 10);
  }

  test("delete removes what the files name, and replace puts it back", async () => {
    await kubectl("replace", "-f", file);
    const gone = await kubectl("delete", "-f", file);
    assert.equal(gone.match(/deleted/g)?.length, 3);
    assert.match(await refused("delete", "-f", file), /NotFound/);
    assert.equal(await kubectl("get", "svc,net-attach-def", "-o", "name"), "");
  });
});
