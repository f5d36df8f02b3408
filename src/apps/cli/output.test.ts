import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../../api/object.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { columnDefinitions, type Table, table, tableRow } from "../../cluster/local/table.ts";
import { parseFormat, renderObjects } from "./output.ts";
import { describeObject } from "./output-describe.ts";
import { renderJsonPath } from "./output-jsonpath.ts";
import { TablePrinter } from "./output-table.ts";
import { visible } from "./output-text.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");
const ESC = "\u001b";

function vmi(name: string, phase: string, ip?: string): KubeObject {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name, namespace: "default", creationTimestamp: "2026-11-21T11:57:00Z" },
    status: { phase, ...(ip === undefined ? {} : { interfaces: [{ ipAddress: ip }] }) },
  };
}

function vmiTable(...objects: readonly KubeObject[]): Table {
  const resource = "virtualmachineinstances.kubevirt.io";
  const rows = objects.map((object) => tableRow(resource, object, "Metadata", NOW));
  return table(rows, columnDefinitions(resource), {});
}

test("tables look like kubectl's", () => {
  const printed = new TablePrinter().print(
    vmiTable(vmi("a", "Running", "10.88.0.5"), vmi("longer-name", "Pending")),
  );
  assert.equal(
    printed,
    [
      "NAME          AGE   PHASE     IP          NODENAME   READY",
      "a             3m    Running   10.88.0.5",
      "longer-name   3m    Pending",
      "",
    ].join("\n"),
  );
});

test("tables can be wide, across namespaces, of several kinds, without a header, and coloured", () => {
  const one = vmiTable(vmi("a", "Failed"));
  assert.match(new TablePrinter({ wide: true }).print(one), /READY {3}LIVE-MIGRATABLE {3}PAUSED\n/);
  const wide = new TablePrinter({ namespace: true, kind: "vmi", headers: false }).print(one);
  assert.equal(wide, "default   vmi/a   3m    Failed\n");
  const paint = (colour: string, text: string): string => `<${colour}>${text}</>`;
  assert.match(new TablePrinter({ paint }).print(one), /^a {6}3m {4}<red>Failed<\/>$/m);
  assert.equal(new TablePrinter().print(vmiTable()), "");
});

test("rows of a watch stand under the columns of the first", () => {
  const printer = new TablePrinter();
  printer.print(vmiTable(vmi("a-rather-long-name", "Pending")));
  const later = { ...vmiTable(vmi("b", "Running")), columnDefinitions: [] };
  assert.equal(printer.print(later), "b                    3m    Running\n");
});

test("what guests call themselves cannot move the cursor", () => {
  const evil = `x${ESC}[2J\u0007\u009b31m\u202egpj`;
  assert.equal(visible(evil), "x\\x1b[2J\\x07\\x9b31m\\u202egpj");
  const printed = new TablePrinter().print(vmiTable(vmi("a", `Run\nning${ESC}c`)));
  assert.match(printed, /Run\.\.\.$/m);
  const described = describeObject({ ...vmi("a", evil), spec: { text: `line\n${evil}` } }, [], NOW);
  for (const text of [printed, described]) {
    assert.ok(!/(?!\n)\p{Cc}|\u202e/u.test(text), JSON.stringify(text));
  }
});

test("-o prints JSON, YAML and names, one object or a List", async () => {
  const objects = [vmi("a", "Running"), vmi("b", "Running")];
  const list = JSON.parse(await renderObjects(objects, { type: "json" }, false));
  assert.deepEqual([list.kind, list.items], ["List", objects]);
  assert.deepEqual(JSON.parse(await renderObjects(objects.slice(0, 1), { type: "json" }, true)), objects[0]);
  assert.equal(
    await renderObjects(objects, { type: "name" }, false),
    "virtualmachineinstance.kubevirt.io/a\nvirtualmachineinstance.kubevirt.io/b\n",
  );
  assert.match(
    await renderObjects(objects, { type: "yaml" }, true),
    /^apiVersion: kubevirt\.io\/v1\nkind: Virt/,
  );
  const evil = await renderObjects([vmi("a", "\u009b31m")], { type: "json" }, true);
  assert.ok(!evil.includes("\u009b"));
  assert.throws(() => parseFormat("xml"), /unknown output format "xml"/);
  assert.deepEqual(parseFormat("jsonpath={.a}"), { type: "jsonpath", template: "{.a}" });
});

test("jsonpath templates", () => {
  const value = {
    items: [
      { name: "a", ready: true, ips: ["1", "2"] },
      { name: "b", conditions: [{ type: "Ready", status: "False" }] },
    ],
    metadata: { labels: { "a.b/c": "d" } },
  };
  const cases: readonly (readonly [string, string])[] = [
    ["{.items[0].name}", "a"],
    ["{items[-1].name}", "b"],
    ["{$.items[*].name}", "a b"],
    ["name={.items[0].name}!", "name=a!"],
    ["{.items[0].ips}", '["1","2"]'],
    ["{.items[*].ips[*]}", "1 2"],
    ['{.items[?(@.name=="b")].conditions[?(@.type=="Ready")].status}', "False"],
    ['{.items[?(@.name!="b")].name}', "a"],
    ['{range .items[*]}{.name}{"\\n"}{end}', "a\nb\n"],
    ["{.metadata.labels.a\\.b/c}", "d"],
    ["{.metadata.labels['a.b/c']}", "d"],
    ["{.none.such[3]}", ""],
    ["{.items[0].ready}", "true"],
  ];
  for (const [template, text] of cases) assert.equal(renderJsonPath(template, value), text, template);
  for (const bad of ["{.a", "{.a[}", "{range .items[*]}", "{end}", "{.a[?(@.b)]}"]) {
    assert.throws(() => renderJsonPath(bad, value), /jsonpath template is wrong/, bad);
  }
});

test("describe labels every address of a NIC with its owner and source", () => {
  const object: KubeObject = {
    ...vmi("web", "Running"),
    metadata: {
      name: "web",
      namespace: "default",
      labels: { app: "web", tier: "front" },
      creationTimestamp: "2026-11-21T11:57:00Z",
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
    },
    spec: {
      domain: { devices: { interfaces: [{ name: "default", masquerade: {} }] } },
      userData: "#!/bin/sh\nexit\n",
    },
    status: {
      phase: "Running",
      interfaces: [
        {
          name: "default",
          binding: "masquerade",
          mac: "02:00:00:00:00:01",
          podInterfaceName: "eth0",
          ipAddress: "10.88.0.5",
          infoSource: "domain, guest-agent",
          addresses: [
            { ip: "10.88.0.5", owner: "pod", source: "cni" },
            { ip: "10.0.2.2", owner: "guest", source: "dhcp" },
          ],
        },
        { name: "plain", ipAddresses: ["192.168.1.1"] },
      ],
    },
  };
  const events = [
    {
      ...vmi("web.1", ""),
      kind: "Event",
      type: "Normal",
      reason: "Started",
      message: "the guest runs",
      source: { component: "podtap" },
      firstTimestamp: "2026-11-21T11:58:00Z",
      lastTimestamp: "2026-11-21T11:59:50Z",
      count: 3,
    } as unknown as KubeEvent,
  ];
  assert.equal(
    describeObject(object, events, NOW, { eth0: ["3 of a kind"], net1: ["of another NIC"] }),
    `Name:         web
Namespace:    default
Labels:       app=web
              tier=front
Annotations:  <none>
API Version:  kubevirt.io/v1
Kind:         VirtualMachineInstance
Metadata:
  Creation Timestamp:  2026-11-21T11:57:00Z
Interfaces:
  default:
    Binding:    masquerade
    MAC:        02:00:00:00:00:01
    Pod NIC:    eth0
    Seen by:    domain, guest-agent
    Addresses:  10.88.0.5  pod    (from CNI)
                10.0.2.2   guest  (from DHCP lease)
    Dropped:    3 of a kind
  plain:
    Addresses:  192.168.1.1
Status:
  Phase:  Running
Spec:
  Domain:
    Devices:
      Interfaces:
        - Name:  default
          Masquerade:  {}
  User Data:
    #!/bin/sh
    exit
Events:
  Type    Reason   Age               From    Message
  ----    ------   ---               ----    -------
  Normal  Started  10s (x3 over 2m)  podtap  the guest runs
`,
  );
});

test("describe shows a Secret's keys and sizes, never what is in it", () => {
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    data: { password: Buffer.from("hunter2").toString("base64") },
  } as KubeObject;
  const text = describeObject(secret, [], NOW);
  assert.match(text, /password: {2}7 bytes/);
  assert.ok(!text.includes(Buffer.from("hunter2").toString("base64")));
});
