/** What podtap finds beyond KubeVirt's numbered rules; those are in test/golden/manifests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { Problem } from "../base/problem.ts";
import { KNOWN_BINDINGS } from "../bindings/admission.ts";
import { DEFAULT_SETTINGS, STRICT_SETTINGS } from "../bindings/settings.ts";
import { withDefaultNic } from "./defaults.ts";
import type { Settings } from "./settings.ts";
import { admitObject, hasErrors, validateManifests, validateObject } from "./validate.ts";

interface Parts {
  readonly iface?: string;
  readonly network?: string;
  readonly interfaces?: string;
  readonly networks?: string;
  readonly devices?: string;
  readonly domain?: string;
  readonly spec?: string;
  readonly metadata?: string;
}

/** A VMI with one masquerade NIC that declares a port: no problem at all. */
function vmi(parts: Parts = {}): string {
  const interfaces =
    parts.interfaces ?? `[{name: a, ${parts.iface ?? "masquerade: {}, ports: [{port: 80}]"}}]`;
  const networks = parts.networks ?? `[{name: a, ${parts.network ?? "pod: {}"}}]`;
  const devices = `devices: {interfaces: ${interfaces}${more(parts.devices)}}`;
  const domain = parts.domain ?? "memory: {guest: 1Gi}";
  return `apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: vm${more(parts.metadata)}}
spec: {domain: {${domain}, ${devices}}, networks: ${networks}${more(parts.spec)}}
`;
}

function more(text: string | undefined): string {
  return text === undefined ? "" : `, ${text}`;
}

function check(text: string, settings: Settings = DEFAULT_SETTINGS): readonly Problem[] {
  return validateManifests([{ name: "f.yaml", text }], settings).problems;
}

function codes(text: string, settings?: Settings): readonly string[] {
  return check(text, settings).map(({ severity, code, field }) => `${severity} ${code} ${field}`);
}

const NIC = "spec.domain.devices.interfaces[0]";
const POD = "spec.networks[0].pod";

test("the base manifest has no problem", () => {
  assert.deepEqual(check(vmi()), []);
});

test("private networks that cannot work are refused before anything is touched", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["vmNetworkCIDR: ten/24", "PT-EARLY-1"],
    ["vmNetworkCIDR: 10.0.2.0", "PT-EARLY-1"],
    ["vmNetworkCIDR: 10.0.2.0/31", "PT-EARLY-2"],
    ["vmNetworkCIDR: 10.0.2.0/32", "PT-EARLY-2"],
    ["vmNetworkCIDR: fd10::/64", "PT-EARLY-3"],
    ["vmNetworkCIDR: 127.0.0.0/24", "PT-EARLY-4"],
    ["vmNetworkCIDR: 224.0.0.0/24", "PT-EARLY-4"],
    ["vmNetworkCIDR: 169.254.1.0/24", "PT-EARLY-4"],
    ["vmNetworkCIDR: 0.0.0.0/0", "PT-EARLY-4"],
  ];
  for (const [key, code] of cases) {
    assert.deepEqual(codes(vmi({ network: `pod: {${key}}` })), [`error ${code} ${POD}.vmNetworkCIDR`], key);
  }
  const six: readonly (readonly [string, string])[] = [
    ['"fd10::/127"', "PT-EARLY-2"],
    ['"fd10::/128"', "PT-EARLY-2"],
    ["10.0.2.0/24", "PT-EARLY-3"],
    ['"ff02::/64"', "PT-EARLY-4"],
    ['"fe80::/64"', "PT-EARLY-4"],
  ];
  for (const [value, code] of six) {
    const text = vmi({ network: `pod: {vmIPv6NetworkCIDR: ${value}}` });
    assert.deepEqual(codes(text), [`error ${code} ${POD}.vmIPv6NetworkCIDR`], value);
  }
  for (const fine of [
    "vmNetworkCIDR: 192.168.100.16/28",
    "vmNetworkCIDR: 010.0.2.7/30",
    'vmIPv6NetworkCIDR: "fd10::/126"',
  ]) {
    assert.deepEqual(codes(vmi({ network: `pod: {${fine}}` })), [], fine);
  }
});

test("masquerade.cidr: podtap's spelling, for either family, must agree with KubeVirt's", () => {
  const nic = (cidr: string): string => `masquerade: {cidr: "${cidr}"}, ports: [{port: 80}]`;
  const text = (cidr: string, pod = ""): string => vmi({ iface: nic(cidr), network: `pod: {${pod}}` });
  assert.deepEqual(codes(text("192.168.100.0/30")), []);
  assert.deepEqual(codes(text("fd10:0:2::/120")), []);
  assert.deepEqual(codes(text("10.9.0.0/24", "vmNetworkCIDR: 10.9.0.7/24")), [], "the same network");
  assert.deepEqual(codes(text("fd10::/120", "vmNetworkCIDR: 10.9.0.0/24")), [], "one of each family");
  assert.deepEqual(codes(text("10.9.0.0/24", "vmNetworkCIDR: 10.8.0.0/24")), [
    `error PT-EARLY-5 ${NIC}.masquerade.cidr`,
  ]);
  assert.deepEqual(codes(text("10.9.0.0/31")), [`error PT-EARLY-2 ${NIC}.masquerade.cidr`]);
  const strict = { ...STRICT_SETTINGS };
  assert.deepEqual(codes(text("10.9.0.0/24"), strict), [`error PT-MAN-10 ${NIC}.masquerade.cidr`]);
});

test("a private network on another binding has no use", () => {
  const settings = { ...DEFAULT_SETTINGS, bindings: ["bridge"] };
  const text = vmi({ iface: "bridge: {}", network: "pod: {vmNetworkCIDR: 10.9.0.0/24}" });
  assert.deepEqual(codes(text, settings), [`warning PT-EARLY-28 ${POD}.vmNetworkCIDR`]);
});

test("MAC addresses that no NIC can have", () => {
  const nic = (mac: string): string => `masquerade: {}, ports: [{port: 80}], macAddress: "${mac}"`;
  const at = `${NIC}.macAddress`;
  assert.deepEqual(codes(vmi({ iface: nic("02-00-00-00-00-00") })), [`error PT-EARLY-6 ${at}`]);
  assert.deepEqual(codes(vmi({ iface: nic("0200.0000.0000") })), [`error PT-EARLY-6 ${at}`]);
  assert.deepEqual(codes(vmi({ iface: nic("01:00:5e:00:00:01") })), [`error PT-EARLY-7 ${at}`]);
  assert.deepEqual(codes(vmi({ iface: nic("ff:ff:ff:ff:ff:ff") })), [`error PT-EARLY-7 ${at}`]);
  assert.deepEqual(codes(vmi({ iface: nic("00:00:00:00:00:00") })), [`error PT-EARLY-7 ${at}`]);
  const two = `[{name: a, ${nic("02:00:00:00:00:01")}}, {name: b, bridge: {}, macAddress: 02-00-00-00-00-01}]`;
  const networks = "[{name: a, pod: {}}, {name: b, multus: {networkName: nad}}]";
  const settings = { ...DEFAULT_SETTINGS, bindings: ["masquerade", "bridge"] };
  assert.deepEqual(codes(vmi({ interfaces: two, networks }), settings), [
    "error PT-EARLY-8 spec.domain.devices.interfaces[1].macAddress",
  ]);
});

test("bindings and plugins: what there is, the settings say", () => {
  const settings: Settings = { ...DEFAULT_SETTINGS, bindings: ["masquerade"] };
  const [bridge] = check(vmi({ iface: "bridge: {}" }), settings);
  assert.equal(bridge?.code, "PT-EARLY-10");
  assert.equal(bridge?.message, "podtap 0.1 wires masquerade only; bridge is not there yet");
  assert.deepEqual(codes(vmi({ iface: "bridge: {}" }), { ...settings, bindings: ["bridge"] }), []);
  assert.deepEqual(codes(vmi({ iface: "binding: {name: p}" }), settings), [
    `error PT-EARLY-9 ${NIC}.binding`,
  ]);
  assert.deepEqual(codes(vmi({ iface: "binding: {name: p}" }), { ...settings, plugins: ["p"] }), []);
  assert.deepEqual(codes(vmi({ iface: "slirp: {}" }), settings), [
    `warning PT-C-1 ${NIC}.slirp`,
    `warning PT-EARLY-27 ${NIC}`,
    `error PT-EARLY-10 ${NIC}.slirp`,
  ]);
  const [named] = check(vmi({ iface: "binding: {name: managedtap}" }), settings);
  assert.equal(named?.message, "podtap 0.1 wires masquerade only; managed-tap is not there yet");
  assert.equal(named?.hint, "Use `masquerade: {}` on this network for now.");
});

/** As if every binding were wired. */
const EVERYTHING: Settings = { ...DEFAULT_SETTINGS, bindings: KNOWN_BINDINGS.map(({ method }) => method) };

test("which binding may sit on which network", () => {
  const pod = "pod: {}";
  const multus = "multus: {networkName: nad}";
  const answers = (iface: string, network: string, compat: Settings["compat"] = "podtap") =>
    check(vmi({ iface: `${iface}, ports: [{port: 80}]`, network }), { ...EVERYTHING, compat })
      .filter(({ severity }) => severity === "error")
      .map(({ code, message, hint }) => [code, message, hint]);
  const instead = "Use `bridge: {}` on a multus network, or put this NIC on `pod: {}`.";
  for (const [iface, code, title] of [
    ["masquerade: {}", "PT-NET-12", "Masquerade"],
    ["passtBinding: {}", "PT-NET-16", "PasstBinding"],
    ["passt: {}", "PT-NET-16", "PasstBinding"],
    ["binding: {name: passt}", "PT-EARLY-50", "PasstBinding"],
    ["binding: {name: slirp}", "PT-EARLY-50", "Slirp"],
    ["slirp: {}", "PT-EARLY-50", "Slirp"],
  ] as const) {
    assert.deepEqual(answers(iface, pod), [], iface);
    const refused = [[code, `${title} interface only implemented with pod network`, instead]];
    assert.deepEqual(answers(iface, multus), refused, iface);
  }
  const everywhere = ["bridge: {}", "binding: {name: macvtap}", "macvtap: {}"];
  for (const iface of [...everywhere, "binding: {name: managed-tap}", "binding: {name: tc-redirect}"]) {
    assert.deepEqual(answers(iface, pod), [], iface);
    assert.deepEqual(answers(iface, multus), [], iface);
  }
  assert.deepEqual(answers("binding: {name: macvtap}", multus, "strict"), []);
  assert.deepEqual(answers("binding: {name: macvtap}", pod, "strict"), [
    [
      "PT-EARLY-50",
      "Macvtap interface only implemented with Multus network",
      "Use `masquerade: {}` on the pod network, or give this NIC a multus network.",
    ],
  ]);
  assert.deepEqual(
    answers("macvtap: {}", multus, "strict").map(([code]) => code),
    ["PT-NET-11", "PT-C-3"],
  );
});

test("what a binding is advised instead depends on what is wired and permitted", () => {
  const hints = (settings: Partial<Settings>): readonly (string | undefined)[] =>
    check(vmi({ iface: "ports: [{port: 80}]" }), { ...EVERYTHING, ...settings }).map(({ hint }) => hint);
  const hint = (pod: string, multus: string): string =>
    `Say how the NIC is wired: \`${pod}\` on the pod's network, \`${multus}\` elsewhere (with the {}).`;
  assert.deepEqual(hints({}), [hint("masquerade: {}", "bridge: {}")]);
  assert.deepEqual(hints({ bindings: ["bridge"] }), [hint("bridge: {}", "bridge: {}")]);
  assert.deepEqual(hints({ bindings: ["bridge", "macvtap"], offPodNetwork: ["bridge"] }), [
    hint("binding: {name: macvtap}", "bridge: {}"),
  ]);
});

test("rules 11 to 16 go NIC by NIC, as KubeVirt's", () => {
  const both = 'masquerade: {}, macAddress: "02:00:00:00:00:00"';
  const interfaces = `[{name: a, ${both}}, {name: b}, {name: c, masquerade: {}}]`;
  const networks = ["a", "b", "c"].map((name) => `{name: ${name}, multus: {networkName: nad}}`);
  const found = check(vmi({ interfaces, networks: `[${networks.join(", ")}]` }), EVERYTHING);
  assert.deepEqual(
    found.map(({ code, field }) => `${code} ${field.slice(field.indexOf("["))}`),
    ["PT-NET-12 [0].name", "PT-NET-13 [0].macAddress", "PT-NET-11 [1]", "PT-NET-12 [2].name"],
  );
});

test("DHCP options where podtap's DHCP does not serve, and a binding that is kept for old manifests", () => {
  const of = (method: string): readonly string[] =>
    codes(
      vmi({ iface: `${method}, ports: [{port: 80}], dhcpOptions: {ntpServers: [10.0.0.1]}` }),
      EVERYTHING,
    );
  const serves = ["masquerade: {}", "bridge: {}", "binding: {name: tc-redirect}", "binding: {name: macvtap}"];
  for (const method of serves) {
    assert.deepEqual(of(method), [], method);
  }
  for (const method of ["passtBinding: {}", "binding: {name: managed-tap}"]) {
    assert.deepEqual(of(method), [`warning PT-EARLY-51 ${NIC}.dhcpOptions`], method);
  }
  assert.deepEqual(of("binding: {name: slirp}"), [
    `warning PT-EARLY-52 ${NIC}.binding`,
    `warning PT-EARLY-51 ${NIC}.dhcpOptions`,
  ]);
});

test("port ranges: where KubeVirt has them, and where podtap has them too", () => {
  const of = (method: string, compat: Settings["compat"] = "podtap"): readonly string[] =>
    codes(vmi({ iface: `${method}, portRanges: [{protocol: TCP, start: 1, end: 9}]` }), {
      ...EVERYTHING,
      compat,
    });
  const refused = [`error PT-NET-40 ${NIC}.name`];
  assert.deepEqual(of("masquerade: {}", "strict"), []);
  assert.deepEqual(of("passtBinding: {}"), []);
  assert.deepEqual(of("passtBinding: {}", "strict"), refused);
  assert.deepEqual(of("bridge: {}"), refused);
});

test("the default NIC may be of any binding, however that is spelled", () => {
  const bare = { domain: { devices: {} } };
  const nicBy = (defaultBinding: string) =>
    withDefaultNic(bare, { ...EVERYTHING, defaultBinding }).domain.devices;
  assert.deepEqual(nicBy("bridge"), { interfaces: [{ name: "default", bridge: {} }] });
  assert.deepEqual(nicBy("tc-redirect"), {
    interfaces: [{ name: "default", binding: { name: "tc-redirect" } }],
  });
});

test("nothing reaches a guest that declares no port, and the annotation lifts it", () => {
  const closed = vmi({ iface: "masquerade: {}" });
  assert.deepEqual(codes(closed), [`warning PT-EARLY-27 ${NIC}`]);
  assert.deepEqual(codes(closed, { ...DEFAULT_SETTINGS, inbound: "all" }), []);
  const annotated = (key: string, value: string): readonly string[] =>
    codes(vmi({ iface: "masquerade: {}", metadata: `annotations: {${key}: ${value}}` }));
  assert.deepEqual(annotated("podtap.io/inbound", "all"), []);
  assert.deepEqual(annotated("podtap.io/inbound", "some"), [
    `warning PT-EARLY-27 ${NIC}`,
    "error PT-MAN-19 metadata.annotations[podtap.io/inbound]",
  ]);
  const [, unknown] = check(
    vmi({ iface: "masquerade: {}", metadata: "annotations: {podtap.io/inbond: all}" }),
  );
  assert.equal(unknown?.code, "PT-MAN-18");
  assert.equal(unknown?.hint, "Did you mean podtap.io/inbound?");
});

test("port security is lifted for NICs that there are, and that send to a network themselves", () => {
  const PORT_SECURITY = "podtap.io/port-security";
  const metadata = (value: string): string => `annotations: {${PORT_SECURITY}: ${JSON.stringify(value)}}`;
  const of = (method: string, value: string) =>
    check(vmi({ iface: `${method}, ports: [{port: 80}]`, metadata: metadata(value) }), EVERYTHING);
  const at = `metadata.annotations[${PORT_SECURITY}]`;
  const stations = [
    "bridge: {}",
    ...["managed-tap", "tc-redirect", "macvtap"].map((one) => `binding: {name: ${one}}`),
  ];
  for (const method of stations)
    for (const value of ["off", "mac", "a=off", "strict, a = mac"])
      assert.deepEqual(of(method, value), [], `${method} ${value}`);
  for (const method of ["masquerade: {}", "passtBinding: {}"]) {
    for (const value of ["off", "a=mac"])
      assert.deepEqual(
        of(method, value).map(({ code, field }) => `${code} ${field}`),
        [`PT-EARLY-54 ${at}`],
        method,
      );
    assert.deepEqual(of(method, "strict"), []);
  }
  const [unknown] = of("bridge: {}", "A=off");
  assert.deepEqual([unknown?.code, unknown?.hint], ["PT-EARLY-53", "Did you mean a?"]);
  for (const value of ["", "on", "a:off", "a=off,a=mac", "off,mac", "=off", "a=b=off", "off,"])
    assert.deepEqual(
      of("bridge: {}", value).map(({ code, field }) => `${code} ${field}`),
      [`PT-MAN-19 ${at}`],
      value,
    );
});

test("memory and CPU", () => {
  const domain = (text: string): readonly string[] => codes(vmi({ domain: text }));
  const at = "spec.domain";
  assert.deepEqual(
    domain("cpu: {cores: 2}"),
    ["error PT-EARLY-18"].map((text) => `${text} `),
  );
  assert.deepEqual(domain("resources: {requests: {memory: 64Mi}}"), []);
  assert.deepEqual(domain("memory: {guest: 512}"), [`error PT-EARLY-19 ${at}.memory.guest`]);
  assert.deepEqual(domain("memory: {guest: 0}"), [`error PT-EARLY-19 ${at}.memory.guest`]);
  assert.deepEqual(domain("memory: {guest: -1Gi}"), [`error PT-EARLY-19 ${at}.memory.guest`]);
  assert.deepEqual(domain("memory: {guest: 100Ti}"), [`error PT-EARLY-19 ${at}.memory.guest`]);
  assert.deepEqual(domain("memory: {guest: lots}"), [`error PT-MAN-21 ${at}.memory.guest`]);
  assert.deepEqual(domain("memory: {guest: 1Gi}, resources: {requests: {cpu: 2}, limits: {cpu: 1}}"), [
    `error PT-EARLY-19 ${at}.resources.requests.cpu`,
  ]);
  const hint = check(vmi({ domain: "memory: {guest: 512}" }))[0]?.hint;
  assert.equal(hint, "A plain number is bytes: did you mean 512Mi?");
  const cpu = (text: string): readonly string[] => domain(`memory: {guest: 1Gi}, cpu: {${text}}`);
  assert.deepEqual(cpu("cores: 4, sockets: 2"), []);
  assert.deepEqual(cpu("cores: 4000"), [`error PT-EARLY-20 ${at}.cpu.cores`]);
  assert.deepEqual(cpu("cores: -1"), [`error PT-EARLY-20 ${at}.cpu.cores`]);
  assert.deepEqual(cpu("cores: 100, sockets: 100"), [`error PT-EARLY-20 ${at}.cpu`]);
});

test("ACPI indexes, PCI addresses and queues", () => {
  const settings = { ...DEFAULT_SETTINGS, bindings: ["masquerade", "bridge"] };
  const pair = (a: string, b: string): readonly string[] =>
    codes(
      vmi({
        interfaces: `[{name: a, masquerade: {}, ports: [{port: 1}], ${a}}, {name: b, bridge: {}, ${b}}]`,
        networks: "[{name: a, pod: {}}, {name: b, multus: {networkName: nad}}]",
      }),
      settings,
    );
  const second = "spec.domain.devices.interfaces[1]";
  assert.deepEqual(pair("acpiIndex: 1", "acpiIndex: 16383"), []);
  assert.deepEqual(pair("acpiIndex: 1", "acpiIndex: 1"), [`error PT-EARLY-22 ${second}.acpiIndex`]);
  assert.deepEqual(pair("acpiIndex: 1", "acpiIndex: 16384"), [`error PT-EARLY-21 ${second}.acpiIndex`]);
  assert.deepEqual(pair('pciAddress: "0000:0A:00.0"', 'pciAddress: "0000:0a:00.0"'), [
    `error PT-EARLY-41 ${second}.pciAddress`,
  ]);
  const queues = vmi({
    iface: "masquerade: {}, ports: [{port: 1}], model: e1000",
    devices: "networkInterfaceMultiqueue: true",
  });
  assert.deepEqual(codes(queues), [`warning PT-EARLY-42 ${NIC}.model`]);
});

test("disks and volumes", () => {
  const storage = (disks: string, volumes: string): readonly string[] =>
    codes(vmi({ devices: `disks: [${disks}]`, spec: `volumes: [${volumes}]` }));
  const disk = "{name: d, disk: {bus: virtio}}";
  const volume = "{name: d, containerDisk: {image: fedora}}";
  const at = "spec.domain.devices.disks[0]";
  assert.deepEqual(storage(disk, volume), []);
  assert.deepEqual(storage(disk, "{name: d, emptyDisk: {capacity: 1Gi}}"), []);
  assert.deepEqual(storage("", volume), ["error PT-EARLY-26 spec.domain.volumes[0].name"]);
  assert.deepEqual(storage(disk, ""), [`error PT-EARLY-25 ${at}.name`]);
  assert.deepEqual(storage("{name: d, cdrom: {bus: sata}}", ""), [`warning PT-EARLY-25 ${at}.name`]);
  assert.deepEqual(storage(disk, "{name: d}"), ["error PT-EARLY-29 spec.volumes[0]"]);
  assert.deepEqual(storage(disk, "{name: d, dataVolume: {name: x}}"), [
    "error PT-EARLY-24 spec.volumes[0].dataVolume",
  ]);
  assert.deepEqual(storage("{name: d, disk: {bus: ide}}", volume), [`error PT-EARLY-31 ${at}.disk.bus`]);
  assert.deepEqual(storage("{name: d, cdrom: {bus: virtio}}", volume), [`error PT-EARLY-31 ${at}.cdrom.bus`]);
  assert.deepEqual(storage("{name: d, lun: {}}", volume), [`error PT-EARLY-31 ${at}.lun`]);
  assert.deepEqual(storage("{name: d, disk: {}, cdrom: {}}", volume), [`error PT-EARLY-31 ${at}`]);
  assert.deepEqual(storage("{name: d, serial: 'a b'}", volume), [`error PT-EARLY-32 ${at}.serial`]);
  assert.deepEqual(storage(`${disk}, ${disk}`, volume), [
    "error PT-EARLY-30 spec.domain.devices.disks[1].name",
  ]);
  for (const image of ["''", "docker://fedora", "'a b'", "-rm"]) {
    const codesOf = storage(disk, `{name: d, containerDisk: {image: ${image}}}`);
    assert.deepEqual(codesOf, ["error PT-EARLY-34 spec.volumes[0].containerDisk.image"], image);
  }
  for (const path of ["/", "disk.img", "/../etc/shadow", "/a//b"]) {
    const codesOf = storage(disk, `{name: d, containerDisk: {image: i, path: ${path}}}`);
    assert.deepEqual(codesOf, ["error PT-EARLY-36 spec.volumes[0].containerDisk"], path);
  }
  assert.deepEqual(storage(disk, "{name: d, emptyDisk: {capacity: 5}}"), [
    "error PT-EARLY-35 spec.volumes[0].emptyDisk.capacity",
  ]);
});

test("firmware: one line of arguments, a UUID, a machine type", () => {
  const boot = (args: string): string =>
    `firmware: {kernelBoot: {kernelArgs: ${args}, container: {image: i, kernelPath: /k}}}`;
  const domain = (text: string): readonly string[] => codes(vmi({ domain: `memory: {guest: 1Gi}, ${text}` }));
  assert.deepEqual(domain(boot('"a b"')), []);
  assert.deepEqual(domain(boot('"a b\\n"')), [
    "error PT-EARLY-49 spec.domain.firmware.kernelBoot.kernelArgs",
  ]);
  assert.deepEqual(domain("firmware: {uuid: 5d307ca9-b3ef-428c-8861-06e72d69f223}"), []);
  assert.deepEqual(domain("firmware: {uuid: mine}"), ["error PT-EARLY-38 spec.domain.firmware.uuid"]);
  assert.deepEqual(domain("machine: {type: pc-q35-8.0}"), []);
  assert.deepEqual(domain("machine: {type: pc}"), ["error PT-EARLY-39 spec.domain.machine.type"]);
});

test("a second cloud-init volume and overlong DHCP options", () => {
  const two = vmi({
    devices: "disks: [{name: a}, {name: b}]",
    spec: "volumes: [{name: a, cloudInitNoCloud: {userData: x}}, {name: b, cloudInitNoCloud: {userData: x}}]",
  });
  assert.deepEqual(codes(two), ["error PT-EARLY-37 spec.volumes[1]"]);
  const long = `masquerade: {}, ports: [{port: 80}], dhcpOptions: {bootFileName: ${"x".repeat(256)}}`;
  assert.deepEqual(codes(vmi({ iface: long })), [`error PT-EARLY-40 ${NIC}.dhcpOptions.bootFileName`]);
  const twice = vmi({ iface: "masquerade: {}, ports: [{port: 80}, {port: 80}, {port: 80, protocol: UDP}]" });
  assert.deepEqual(codes(twice), [`warning PT-EARLY-33 ${NIC}.ports[1].port`]);
});

test("names, namespaces and labels", () => {
  const named = (metadata: string): readonly string[] =>
    codes(`apiVersion: v1\nkind: ConfigMap\nmetadata: {${metadata}}\n`);
  assert.deepEqual(named("name: ok.example"), []);
  assert.deepEqual(named("namespace: default"), ["error PT-MAN-12 metadata.name"]);
  assert.deepEqual(named("generateName: x-"), ["error PT-MAN-12 metadata.name"]);
  assert.deepEqual(named("name: Not_Ok"), ["error PT-EARLY-12 metadata.name"]);
  assert.deepEqual(named('name: "a/../b"'), ["error PT-EARLY-12 metadata.name"]);
  assert.deepEqual(named(`name: ${"a".repeat(254)}`), ["error PT-EARLY-12 metadata.name"]);
  assert.deepEqual(named("name: ok, namespace: a.b"), ["error PT-EARLY-13 metadata.namespace"]);
  assert.deepEqual(named("name: ok, labels: {a/b/c: x}"), ["error PT-MAN-23 metadata.labels"]);
  assert.deepEqual(named("name: ok, labels: {a: 'x y'}"), ["error PT-MAN-23 metadata.labels.a"]);
});

test("a status that renames the pod's interface must lead to names the kernel takes", () => {
  const withStatus = (status: object): readonly string[] =>
    validateObject({ ...parse(vmi()), status }, DEFAULT_SETTINGS).map(
      ({ severity, code, field }) => `${severity} ${code} ${field}`,
    );
  const named = (podInterfaceName: string): object => ({ interfaces: [{ name: "a", podInterfaceName }] });
  assert.deepEqual(withStatus(named("ovn-udn1")), []);
  assert.deepEqual(withStatus(named("a-long-name-12")), [
    "error PT-EARLY-11 status.interfaces[0].podInterfaceName",
  ]);
  assert.deepEqual(withStatus({ interfaces: [null, 5, {}], conditions: "x" }), []);
});

function vm(keys: string): string {
  return `apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: vm}\nspec: {${keys}}\n`;
}
const TEMPLATE =
  "template: {metadata: {labels: {app: web}}, spec: {domain: {memory: {guest: 1Gi}, devices: {interfaces: [{name: a, masquerade: {}, ports: [{name: http, port: 80}]}]}}, networks: [{name: a, pod: {}}]}}";

test("PT-REL-11: run strategies", () => {
  assert.deepEqual(codes(vm(`runStrategy: Always, ${TEMPLATE}`)), []);
  assert.deepEqual(codes(vm(`running: true, ${TEMPLATE}`)), ["warning PT-MAN-20 spec.running"]);
  const [both] = check(vm(`running: true, runStrategy: Always, ${TEMPLATE}`));
  assert.equal(both?.field, "spec.running");
  assert.equal(
    both?.message,
    "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead",
  );
  const [none] = check(vm(TEMPLATE));
  assert.deepEqual([none?.code, none?.message], ["PT-REL-11", "RunStrategy must be specified"]);
  const [odd] = check(vm(`runStrategy: Sometimes, ${TEMPLATE}`));
  assert.deepEqual([odd?.code, odd?.message], ["PT-REL-11", "Invalid RunStrategy (Sometimes)"]);
  assert.deepEqual(codes(vm(`runStrategy: WaitAsReceiver, ${TEMPLATE}`)), [
    "error PT-EARLY-43 spec.runStrategy",
  ]);
  assert.deepEqual(codes(vm("runStrategy: Always")), ["error PT-MAN-12 spec.template"]);
});

test("the default NIC may be refused", () => {
  const bare =
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: vm}\nspec: {domain: {memory: {guest: 1Gi}, devices: {}}}\n";
  const settings: Settings = {
    ...DEFAULT_SETTINGS,
    defaultBinding: "bridge",
    offPodNetwork: ["bridge"],
  };
  const [problem] = check(bare, settings);
  assert.deepEqual(
    [problem?.code, problem?.message],
    ["PT-EARLY-48", "bridge interface is not enabled in kubevirt-config"],
  );
  assert.deepEqual(codes(bare, { ...settings, defaultBinding: "masquerade" }), [
    "warning PT-EARLY-27 spec.domain.devices.interfaces[0]",
  ]);
});

function service(keys: string, metadata = "name: web"): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {${metadata}}\nspec: {${keys}}\n`;
}

test("Services against the VMs they come with", () => {
  const both = (keys: string, metadata?: string): readonly string[] =>
    codes(`${vm(`runStrategy: Always, ${TEMPLATE}`)}---\n${service(keys, metadata)}`);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 80}]"), []);
  assert.deepEqual(both("selector: {vm.kubevirt.io/name: vm}, ports: [{port: 8080, targetPort: 80}]"), []);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 8080, targetPort: http}]"), []);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 80, targetPort: web}]"), [
    "error PT-EARLY-16 spec.ports[0].targetPort",
  ]);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 80, targetPort: http, protocol: UDP}]"), [
    "error PT-EARLY-16 spec.ports[0].targetPort",
  ]);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 443}]"), [
    "warning PT-EARLY-14 spec.ports[0].port",
  ]);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 80, targetPort: 81}]"), [
    "warning PT-EARLY-14 spec.ports[0].targetPort",
  ]);
  assert.deepEqual(both("selector: {app: db}, ports: [{port: 80}]"), ["warning PT-EARLY-15 spec.selector"]);
  assert.deepEqual(both("ports: [{port: 80}]"), ["warning PT-EARLY-15 spec.selector"]);
  assert.deepEqual(both("selector: {app: web}, ports: [{port: 80}]", "name: web, namespace: other"), [
    "warning PT-EARLY-15 spec.selector",
  ]);
});

test("the form of Services", () => {
  const form = (keys: string): readonly string[] =>
    codes(service(`selector: {a: b}, ${keys}`)).filter((text) => !text.includes("PT-EARLY-15"));
  assert.deepEqual(form("type: NodePort, ports: [{port: 80}]"), ["warning PT-EARLY-23 spec.type"]);
  assert.deepEqual(form("type: LoadBalancer, ports: [{port: 80}]"), ["warning PT-EARLY-23 spec.type"]);
  assert.deepEqual(form("type: ExternalName"), ["error PT-EARLY-23 spec.type"]);
  assert.deepEqual(form("ports: []"), ["error PT-EARLY-44 spec.ports"]);
  assert.deepEqual(form("ports: [{port: 0}]"), ["error PT-EARLY-44 spec.ports[0].port"]);
  assert.deepEqual(form("ports: [{port: 80, targetPort: 99999}]"), [
    "error PT-EARLY-44 spec.ports[0].targetPort",
  ]);
  assert.deepEqual(form("ports: [{port: 80, targetPort: '80'}]"), [
    "error PT-EARLY-44 spec.ports[0].targetPort",
  ]);
  assert.deepEqual(form("ports: [{port: 80, protocol: SCTP}]"), ["error PT-EARLY-44 spec.ports[0].protocol"]);
  assert.deepEqual(form("ports: [{port: 80}, {port: 81}]"), [
    "error PT-EARLY-44 spec.ports[0].name",
    "error PT-EARLY-44 spec.ports[1].name",
  ]);
  assert.deepEqual(form("clusterIP: None"), ["warning PT-EARLY-45 spec.clusterIP"]);
  assert.deepEqual(codes(service("selector: {a: b}, ports: [{port: 80}]", "name: 1web")), [
    "error PT-EARLY-12 metadata.name",
    "warning PT-EARLY-15 spec.selector",
  ]);
});

test("NetworkAttachmentDefinitions and Secrets", () => {
  const nad = (config: string): readonly string[] =>
    codes(
      `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: nad}\nspec: {config: ${JSON.stringify(config)}}\n`,
    );
  assert.deepEqual(nad('{"cniVersion": "0.3.1", "type": "bridge"}'), []);
  assert.deepEqual(nad('{"plugins": [{"type": "bridge"}]}'), []);
  assert.deepEqual(nad(""), []);
  for (const bad of ['{"type": "bridge",}', "[]", "{}", '{"plugins": [{}]}', '{"type": 5}']) {
    assert.deepEqual(nad(bad), ["error PT-EARLY-46 spec.config"], bad);
  }
  const secret = (data: string): readonly string[] =>
    codes(`apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {${data}}\n`);
  assert.deepEqual(secret("userdata: aGVsbG8="), []);
  assert.deepEqual(secret("userdata: hello world"), ["error PT-EARLY-47 data.userdata"]);
});

test("two objects of one name, also a VM and a VMI", () => {
  const twice = check(`${vmi()}---\n${vm(`runStrategy: Always, ${TEMPLATE}`)}`);
  assert.deepEqual(
    twice.map(({ code, object, at, message }) => [code, object, at?.line, message]),
    [
      [
        "PT-EARLY-17",
        "VirtualMachine/vm",
        8,
        "VirtualMachineInstance/vm is already defined in f.yaml, line 3",
      ],
    ],
  );
  assert.deepEqual(
    codes(`${service("selector: {a: b}, ports: [{port: 1}]")}---\n${vmi({ metadata: "namespace: other" })}`),
    ["warning PT-EARLY-15 spec.selector"],
  );
});

test("one dropped value gives one problem, and the rest is still asked", () => {
  const text = vmi({ interfaces: "[{name: a, masquerade: true, macAddress: 5, model: vmxnet3}]" });
  assert.deepEqual(codes(text), [
    `error PT-MAN-11 ${NIC}.masquerade`,
    `error PT-MAN-11 ${NIC}.macAddress`,
    `error PT-NET-29 ${NIC}.model`,
  ]);
  assert.deepEqual(codes(vmi({ interfaces: "{name: a}" })), [
    "error PT-MAN-11 spec.domain.devices.interfaces",
  ]);
  assert.deepEqual(codes(vmi({ interfaces: "[{nme: a, masquerade: {}, ports: [{port: 80}]}]" })), [
    "error PT-MAN-10 spec.domain.devices.interfaces[0].nme",
  ]);
});

test("one object at a time, for the API server: the same problems without places", () => {
  const object = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "vm" },
    spec: {
      domain: { memory: { guest: "1Gi" }, devices: { interfaces: [{ name: "a" }] } },
      networks: [{ name: "a", pod: {} }],
    },
  };
  const before = structuredClone(object);
  const problems = validateObject(object, DEFAULT_SETTINGS);
  assert.deepEqual(object, before);
  assert.deepEqual(
    problems.map(({ code, at, object: label }) => [code, at, label]),
    [["PT-NET-11", undefined, "VirtualMachineInstance/vm"]],
  );
  assert.equal(hasErrors(problems), true);
  assert.equal(validateObject({ ...object, status: { anything: [1] } }, DEFAULT_SETTINGS).length, 1);
  const withNull = {
    ...object,
    spec: { ...object.spec, volumes: null, domain: { ...object.spec.domain, cpu: null } },
  };
  assert.deepEqual(Object.keys((admitObject(withNull, DEFAULT_SETTINGS).object?.spec ?? {}) as object), [
    "domain",
    "networks",
  ]);
  for (const nothing of [null, undefined]) {
    const codesOf = validateObject({ ...object, spec: { domain: nothing } }, DEFAULT_SETTINGS);
    assert.deepEqual(
      codesOf.map(({ code, field }) => [code, field]),
      [["PT-MAN-12", "spec.domain"]],
    );
  }
  for (const odd of [null, undefined, 5, "x", [], {}, { kind: 5 }]) {
    assert.equal(hasErrors(validateObject(odd, DEFAULT_SETTINGS)), true);
  }
});

test("annotations for a cluster's network are not passed over", () => {
  const annotated = (annotations: string): readonly Problem[] =>
    check(vmi({ metadata: `annotations: {${annotations}}` }));
  const [said, ...more] = annotated(
    "ovn.kubernetes.io/ip_address: 10.16.0.15, net1.lab.ovn.kubernetes.io/mac_address: x, a.b/c: d",
  );
  assert.deepEqual([said?.code, said?.severity, more], ["PT-EARLY-62", "warning", []]);
  assert.match(
    said?.message ?? "",
    /: ovn\.kubernetes\.io\/ip_address, net1\.lab\.ovn\.kubernetes\.io\/mac_address$/,
  );
  assert.equal(annotated("cni.projectcalico.org/ipAddrs: '[]'").length, 1);
  assert.deepEqual(annotated("kubevirt.io/allow-pod-bridge-network-live-migration: ''"), []);
});
