/**
 * KubeVirt's admission as a table: for every rule what it accepts and what it rejects, and with which field,
 * reason and words (shared reference kubevirt-api.md, parts 2.2 and 2.3). Fragments are YAML in flow style, as
 * there: `n` networks, `i` interfaces, `s` more keys of the spec, `d` of the domain, `m` metadata.
 */
import type { Settings } from "../../../src/api/settings.ts";

export interface Fragment {
  readonly n?: string;
  readonly i?: string;
  readonly s?: string;
  readonly d?: string;
  readonly m?: string;
  readonly settings?: Partial<Settings>;
}

export interface Rejected extends Fragment {
  /** `P` stands for the path of the spec, `M` for that of the metadata. */
  readonly field: string;
  readonly reason?: string;
  /** Same letters in braces: `{P}`. */
  readonly message: string;
}

export interface RuleCase {
  readonly code: string;
  readonly accepted: readonly Fragment[];
  readonly rejected: readonly Rejected[];
}

const pod0 = "{name: a, pod: {}}";
const mul0 = "{name: a, multus: {networkName: nad}}";
const masq0 = "{name: a, masquerade: {}}";
const br0 = "{name: a, bridge: {}}";
const I = "P.domain.devices.interfaces";
const dra = "{name: a, resourceClaim: {claimName: c, requestName: r}}";
const draOn = { gates: { NetworkDevicesWithDRA: true } };
const claims = "resourceClaims: [{name: c, resourceClaimTemplateName: t}]";

/** One masquerade NIC on the pod network with these keys more. */
function nic(keys: string): Fragment {
  return { n: `[${pod0}]`, i: `[{name: a, masquerade: {}, ${keys}}]` };
}

function ranges(list: readonly string[], method = "masquerade"): Fragment {
  const cells = list.map((range) => {
    const [protocol, start, end] = range.split(" ");
    return `{protocol: "${protocol}", start: ${start}, end: ${end}}`;
  });
  return { n: `[${pod0}]`, i: `[{name: a, ${method}: {}, portRanges: [${cells.join(", ")}]}]` };
}

const rangesText = "portRanges is specified on interface but the PortRangesSpec feature gate is not enabled";
const oneBinding = "logical a interface must have exactly one binding method or binding plugin";
const reserved = "The requested MAC address is reserved for the in-pod bridge. Please choose another one.";
const nameForm =
  "Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)";
const protocolText = "Unknown protocol, only TCP or UDP allowed";
const ntpText = "NTP servers must be a list of valid IPv4 addresses.";
const optionRange = "provided DHCPPrivateOptions are out of range, must be in range 224 to 254";

export const NETWORK_RULE_CASES: readonly RuleCase[] = [
  {
    code: "PT-NET-1",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]` }],
    rejected: [
      {
        n: `[${pod0}, {name: b, pod: {}}]`,
        i: `[${masq0}, {name: b, masquerade: {}}]`,
        field: "P.interfaces",
        reason: "FieldValueDuplicate",
        message: "more than one interface is connected to a pod network in {P}.interfaces",
      },
    ],
  },
  {
    code: "PT-NET-2",
    accepted: [{ n: "[{name: a, multus: {networkName: x, default: true}}]", i: `[${br0}]` }],
    rejected: [
      {
        n: "[{name: a, multus: {networkName: x, default: true}}, {name: b, multus: {networkName: y, default: true}}]",
        i: `[${br0}, {name: b, bridge: {}}]`,
        field: "P.networks",
        message: "Multus CNI should only have one default network",
      },
    ],
  },
  {
    code: "PT-NET-3",
    accepted: [{ n: `[${pod0}]`, i: `[${br0}]` }],
    rejected: [
      {
        n: `[${pod0}, {name: b, multus: {networkName: x, default: true}}]`,
        i: `[${br0}, {name: b, bridge: {}}]`,
        field: "P.networks",
        message: "Pod network cannot be defined when Multus default network is defined",
      },
    ],
  },
  {
    code: "PT-NET-4",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]` }],
    rejected: [
      {
        n: "[{name: a}]",
        i: `[${br0}]`,
        field: "P.networks[0]",
        reason: "FieldValueRequired",
        message: "should have a network type",
      },
    ],
  },
  {
    code: "PT-NET-5",
    accepted: [{ n: `[${mul0}]`, i: `[${br0}]` }],
    rejected: [
      {
        n: "[{name: a, pod: {}, multus: {networkName: x}}]",
        i: `[${br0}]`,
        field: "P.networks[0]",
        reason: "FieldValueRequired",
        message: "should have only one network type",
      },
    ],
  },
  {
    code: "PT-NET-6",
    accepted: [{ n: `[${mul0}]`, i: `[${br0}]` }],
    rejected: [
      {
        n: '[{name: a, multus: {networkName: ""}}]',
        i: `[${br0}]`,
        field: "P.networks[0]",
        reason: "FieldValueRequired",
        message: "CNI delegating plugin must have a networkName",
      },
    ],
  },
  {
    code: "PT-NET-7",
    accepted: [
      { n: `[${pod0}]`, i: "[{name: a, bridge: {}, state: down}]" },
      { n: `[${pod0}]`, i: '[{name: a, bridge: {}, state: ""}]' },
    ],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, bridge: {}, state: off}]",
        field: `${I}[0].state`,
        message: "logical a interface state value is unsupported: off",
      },
    ],
  },
  {
    code: "PT-NET-8",
    accepted: [{ n: `[${mul0}]`, i: "[{name: a, sriov: {}}]" }],
    rejected: [
      {
        n: `[${mul0}]`,
        i: "[{name: a, sriov: {}, state: up}]",
        field: `${I}[0].state`,
        message: `"a" interface's state "up" is not supported for SR-IOV NICs`,
      },
    ],
  },
  {
    code: "PT-NET-9",
    accepted: [{ n: `[${mul0}]`, i: "[{name: a, bridge: {}, state: absent}]" }],
    rejected: [
      {
        n: `[${mul0}]`,
        i: "[{name: a, sriov: {}, state: absent}]",
        field: `${I}[0].state`,
        message: `"a" interface's state "absent" is supported only for bridge binding`,
      },
    ],
  },
  {
    code: "PT-NET-10",
    accepted: [{ n: `[${mul0}]`, i: "[{name: a, bridge: {}, state: absent}]" }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, bridge: {}, state: absent}]",
        field: `${I}[0].state`,
        message: `"a" interface's state "absent" is not supported on default networks`,
      },
      {
        n: "[{name: a, multus: {networkName: x, default: true}}]",
        i: "[{name: a, bridge: {}, state: absent}]",
        field: `${I}[0].state`,
        message: `"a" interface's state "absent" is not supported on default networks`,
      },
    ],
  },
  {
    code: "PT-NET-11",
    accepted: [{ n: `[${pod0}]`, i: `[${br0}]` }],
    rejected: [
      { n: `[${pod0}]`, i: "[{name: a}]", field: `${I}[0]`, message: oneBinding },
      {
        n: `[${pod0}]`,
        i: "[{name: a, bridge: {}, binding: {name: p}}]",
        field: `${I}[0]`,
        message: oneBinding,
      },
      {
        n: `[${pod0}]`,
        i: "[{name: a, slirp: {}}]",
        settings: { compat: "strict" },
        field: `${I}[0]`,
        message: oneBinding,
      },
    ],
  },
  {
    code: "PT-NET-12",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]` }],
    rejected: [
      {
        n: `[${mul0}]`,
        i: `[${masq0}]`,
        field: `${I}[0].name`,
        message: "Masquerade interface only implemented with pod network",
      },
    ],
  },
  {
    code: "PT-NET-13",
    accepted: [nic('macAddress: "02:00:00:00:00:01"')],
    rejected: [{ ...nic('macAddress: "02:00:00:00:00:00"'), field: `${I}[0].macAddress`, message: reserved }],
  },
  {
    code: "PT-NET-14",
    accepted: [{ n: `[${pod0}]`, i: `[${br0}]` }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: `[${br0}]`,
        settings: { offPodNetwork: ["bridge"] },
        field: `${I}[0].name`,
        message: "Bridge on pod network configuration is not enabled under kubevirt-config",
      },
    ],
  },
  {
    code: "PT-NET-15",
    accepted: [{ n: `[${pod0}]`, i: "[{name: a, passtBinding: {}}]" }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, passtBinding: {}}]",
        settings: { gates: { PasstBinding: false } },
        field: `${I}[0].name`,
        message: "PasstBinding feature gate is not enabled",
      },
    ],
  },
  {
    code: "PT-NET-16",
    accepted: [{ n: `[${pod0}]`, i: "[{name: a, passtBinding: {}}]" }],
    rejected: [
      {
        n: `[${mul0}]`,
        i: "[{name: a, passtBinding: {}}]",
        field: `${I}[0].name`,
        message: "PasstBinding interface only implemented with pod network",
      },
    ],
  },
  {
    code: "PT-NET-17",
    accepted: [
      { n: `[${pod0}, {name: b, multus: {networkName: nad}}]`, i: `[${br0}, {name: b, bridge: {}}]` },
    ],
    rejected: [
      {
        n: `[${mul0}, ${mul0}]`,
        i: `[${br0}]`,
        field: "P.networks[1].name",
        reason: "FieldValueDuplicate",
        message: 'Network with name "a" already exists, every network must have a unique name',
      },
    ],
  },
  {
    code: "PT-NET-18",
    accepted: [{ n: `[${dra}]`, i: "[{name: a, sriov: {}}]", s: claims, settings: draOn }],
    rejected: [
      {
        n: `[${dra}]`,
        i: "[{name: a, sriov: {}}]",
        s: claims,
        field: "P.networks",
        message:
          "vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled",
      },
    ],
  },
  {
    code: "PT-NET-19",
    accepted: [
      {
        n: `[{name: b, pod: {}}, ${dra}]`,
        i: "[{name: b, masquerade: {}}, {name: a, sriov: {}}]",
        s: claims,
        settings: draOn,
      },
    ],
    rejected: [
      {
        n: `[${dra}, {name: b, multus: {networkName: nad}}]`,
        i: "[{name: a, sriov: {}}, {name: b, bridge: {}}]",
        s: claims,
        settings: draOn,
        field: "P.networks",
        message: "mixing Multus and DRA resourceClaim networks in the same VMI is not supported",
      },
    ],
  },
  {
    code: "PT-NET-20",
    accepted: [{ n: `[${dra}]`, i: "[{name: a, binding: {name: p}}]", s: claims, settings: draOn }],
    rejected: [
      {
        n: `[${dra}]`,
        i: `[${br0}]`,
        s: claims,
        settings: draOn,
        field: I,
        message: 'DRA network "a" requires an SR-IOV or binding plugin interface',
      },
    ],
  },
  {
    code: "PT-NET-21",
    accepted: [{ n: `[${dra}]`, i: "[{name: a, sriov: {}}]", s: claims, settings: draOn }],
    rejected: [
      {
        n: "[{name: a, resourceClaim: {requestName: r}}]",
        i: "[{name: a, sriov: {}}]",
        s: claims,
        settings: draOn,
        field: "P.networks[0].resourceClaim.claimName",
        reason: "FieldValueRequired",
        message: "claimName is required for DRA network",
      },
    ],
  },
  {
    code: "PT-NET-22",
    accepted: [{ n: `[${dra}]`, i: "[{name: a, sriov: {}}]", s: claims, settings: draOn }],
    rejected: [
      {
        n: "[{name: a, resourceClaim: {claimName: c}}]",
        i: "[{name: a, sriov: {}}]",
        s: claims,
        settings: draOn,
        field: "P.networks[0].resourceClaim.requestName",
        reason: "FieldValueRequired",
        message: "requestName is required for DRA network",
      },
    ],
  },
  {
    code: "PT-NET-23",
    accepted: [{ n: `[${dra}]`, i: "[{name: a, sriov: {}}]", s: claims, settings: draOn }],
    rejected: [
      {
        n: `[${dra}]`,
        i: "[{name: a, sriov: {}}]",
        s: "resourceClaims: []",
        settings: draOn,
        field: "P.networks[0].resourceClaim.claimName",
        reason: "FieldValueNotFound",
        message: 'network references resourceClaim "c" which is not defined in spec.resourceClaims',
      },
    ],
  },
  {
    code: "PT-NET-24",
    accepted: [
      {
        n: `[${dra}, {name: b, resourceClaim: {claimName: c, requestName: r2}}]`,
        i: "[{name: a, sriov: {}}, {name: b, sriov: {}}]",
        s: claims,
        settings: draOn,
      },
    ],
    rejected: [
      {
        n: `[${dra}, {name: b, resourceClaim: {claimName: c, requestName: r}}]`,
        i: "[{name: a, sriov: {}}, {name: b, sriov: {}}]",
        s: claims,
        settings: draOn,
        field: "P.networks[1]",
        reason: "FieldValueDuplicate",
        message: 'duplicate claimName/requestName combination "c/r"',
      },
    ],
  },
  {
    code: "PT-NET-25",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]` }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[]",
        field: "P.networks[0].name",
        reason: "FieldValueRequired",
        message: "{P}.networks[0].name 'a' not found.",
      },
    ],
  },
  {
    code: "PT-NET-26",
    accepted: [
      { n: `[${pod0}, {name: b, multus: {networkName: nad}}]`, i: `[${br0}, {name: b, bridge: {}}]` },
    ],
    rejected: [
      {
        n: `[${pod0}]`,
        i: `[${br0}, ${br0}]`,
        field: `${I}[1].name`,
        reason: "FieldValueDuplicate",
        message: "Only one interface can be connected to one specific network",
      },
    ],
  },
  {
    code: "PT-NET-27",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]` }],
    rejected: [
      {
        n: "[]",
        i: `[${masq0}]`,
        field: `${I}[0].name`,
        message: "{P}.domain.devices.interfaces[0].name 'a' not found.",
      },
    ],
  },
  {
    code: "PT-NET-28",
    accepted: [{ n: "[{name: net_1-A, pod: {}}]", i: "[{name: net_1-A, masquerade: {}}]" }],
    rejected: [
      {
        n: "[{name: net.1, pod: {}}]",
        i: "[{name: net.1, masquerade: {}}]",
        field: `${I}[0].name`,
        message: nameForm,
      },
    ],
  },
  {
    code: "PT-NET-29",
    accepted: ["e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio"].map((model) =>
      nic(`model: ${model}`),
    ),
    rejected: [
      {
        ...nic("model: vmxnet3"),
        field: `${I}[0].model`,
        reason: "FieldValueNotSupported",
        message: "interface {P}.domain.devices.interfaces[0].name uses model vmxnet3 that is not supported.",
      },
    ],
  },
  {
    code: "PT-NET-30",
    accepted: [
      nic("macAddress: de-ad-00-00-be-af"),
      nic("macAddress: dead.0000.beaf"),
      nic('macAddress: ""'),
    ],
    rejected: [
      "de:ad:00",
      "de:ad:00-00:be:af",
      "dead:00:00:be:af",
      "de:ad:00:00:be:zz",
      "de:ad:00:00:be:af:01",
    ].map((mac) => ({
      ...nic(`macAddress: "${mac}"`),
      field: `${I}[0].macAddress`,
      message: `interface {P}.domain.devices.interfaces[0].name has malformed MAC address (${mac}).`,
    })),
  },
  {
    code: "PT-NET-31",
    accepted: [nic('macAddress: "00:11:22:33:44:55"')],
    rejected: [
      {
        ...nic('macAddress: "00:11:22:33:44:55:66:77"'),
        field: `${I}[0].macAddress`,
        message:
          "interface {P}.domain.devices.interfaces[0].name has too long MAC address (00:11:22:33:44:55:66:77).",
      },
    ],
  },
  {
    code: "PT-NET-32",
    accepted: [nic('pciAddress: "0000:81:01.0"')],
    rejected: ["0000:81:01:0", "0000:81:01.8", "81:01.0"].map((address) => ({
      ...nic(`pciAddress: "${address}"`),
      field: `${I}[0].pciAddress`,
      message: `interface {P}.domain.devices.interfaces[0].name has malformed PCI address (${address}).`,
    })),
  },
  {
    code: "PT-NET-33",
    accepted: [
      nic("ports: [{name: http, port: 80}, {name: https, port: 443}]"),
      // Off the pod network nobody looks.
      { n: `[${mul0}]`, i: "[{name: a, bridge: {}, ports: [{name: x1, port: 1}, {name: x1, port: 2}]}]" },
    ],
    rejected: [
      {
        ...nic("ports: [{name: http, port: 80}, {name: http, port: 81}]"),
        field: `${I}[0].ports[1].name`,
        reason: "FieldValueDuplicate",
        message: "Duplicate name of the port: http",
      },
    ],
  },
  {
    code: "PT-NET-34",
    accepted: [nic("ports: [{name: web-1, port: 80}]")],
    rejected: ["Web_1", "80", "-web", "web-", "we--b", "a-name-too-long1"].map((name) => ({
      ...nic(`ports: [{name: "${name}", port: 80}]`),
      field: `${I}[0].ports[0].name`,
      message: `Invalid name of the port: ${name}`,
    })),
  },
  {
    code: "PT-NET-35",
    accepted: [nic("ports: [{port: 80}]")],
    rejected: ["{port: 0}", "{name: web}"].map((port) => ({
      ...nic(`ports: [${port}]`),
      field: `${I}[0].ports[0].port`,
      reason: "FieldValueRequired",
      message: "Port field is mandatory.",
    })),
  },
  {
    code: "PT-NET-36",
    accepted: [nic("ports: [{port: 65535}]"), nic("ports: [{port: 1}]")],
    rejected: [65536, -1].map((port) => ({
      ...nic(`ports: [{port: ${port}}]`),
      field: `${I}[0].ports[0].port`,
      message: "Port field must be in range 0 < x < 65536.",
    })),
  },
  {
    code: "PT-NET-37",
    accepted: [nic("ports: [{port: 53, protocol: UDP}]"), nic('ports: [{port: 53, protocol: ""}]')],
    rejected: ["udp", "SCTP"].map((protocol) => ({
      ...nic(`ports: [{port: 53, protocol: ${protocol}}]`),
      field: `${I}[0].ports[0].protocol`,
      message: protocolText,
    })),
  },
  {
    code: "PT-NET-38",
    accepted: [{ ...ranges(["TCP 1 5"]), settings: { gates: { PortRangesSpec: true }, compat: "strict" } }],
    rejected: [
      {
        ...ranges(["TCP 1 5"]),
        settings: { gates: {}, compat: "strict" },
        field: `${I}[0].name`,
        message: rangesText,
      },
    ],
  },
  {
    code: "PT-NET-39",
    accepted: [ranges(["TCP 1 5"]), nic("ports: [{port: 80}]")],
    rejected: [
      {
        ...nic("ports: [{port: 80}], portRanges: [{protocol: TCP, start: 1, end: 5}]"),
        field: `${I}[0].name`,
        message: "Cannot define both ports and portRanges on interface",
      },
    ],
  },
  {
    code: "PT-NET-40",
    accepted: [ranges(["TCP 1 5"])],
    rejected: [
      {
        ...ranges(["TCP 1 5"], "bridge"),
        field: `${I}[0].name`,
        message: "portRanges are only supported on masquerade interfaces",
      },
    ],
  },
  {
    code: "PT-NET-41",
    accepted: [ranges(Array.from({ length: 10 }, (_, k) => `TCP ${k * 10 + 1} ${k * 10 + 5}`))],
    rejected: [
      {
        ...ranges(Array.from({ length: 11 }, (_, k) => `TCP ${k * 10 + 1} ${k * 10 + 5}`)),
        field: `${I}[0].portRanges`,
        message: "No more than 10 portRanges are allowed",
      },
    ],
  },
  {
    code: "PT-NET-42",
    accepted: [ranges(["TCP 1 5"])],
    rejected: [{ ...ranges([" 1 5"]), field: `${I}[0].portRanges[0].protocol`, message: protocolText }],
  },
  {
    code: "PT-NET-43",
    accepted: [ranges(["TCP 1 5"])],
    rejected: ["TCP 0 5", "TCP 65536 65537"].map((range) => ({
      ...ranges([range]),
      field: `${I}[0].portRanges[0].start`,
      message: "Start must be a valid port number, 0 < x < 65536",
    })),
  },
  {
    code: "PT-NET-44",
    accepted: [ranges(["TCP 1 65535"])],
    rejected: [
      {
        ...ranges(["TCP 1 70000"]),
        field: `${I}[0].portRanges[0].end`,
        message: "End must be a valid port number, 0 < x < 65536",
      },
    ],
  },
  {
    code: "PT-NET-45",
    accepted: [ranges(["TCP 5 5"])],
    rejected: [
      {
        ...ranges(["TCP 6 5"]),
        field: `${I}[0].portRanges[0].start`,
        message: "Start must be less than or equal to end",
      },
    ],
  },
  {
    code: "PT-NET-46",
    accepted: [ranges(["TCP 1 5", "TCP 6 9"]), ranges(["TCP 1 5", "UDP 1 5"])],
    rejected: [
      {
        ...ranges(["TCP 5 9", "TCP 1 5"]),
        field: `${I}[0].portRanges`,
        message: "TCP portRanges [1-5] and [5-9] overlap",
      },
    ],
  },
  {
    code: "PT-NET-47",
    accepted: [nic("dhcpOptions: {privateOptions: [{option: 240, value: a}, {option: 241, value: b}]}")],
    rejected: [
      {
        ...nic("dhcpOptions: {privateOptions: [{option: 240, value: a}, {option: 240, value: b}]}"),
        field: "P",
        message: "Found Duplicates: you have provided duplicate DHCPPrivateOptions",
      },
    ],
  },
  {
    code: "PT-NET-48",
    accepted: [nic("dhcpOptions: {privateOptions: [{option: 224, value: a}, {option: 254, value: b}]}")],
    rejected: [223, 255].map((option) => ({
      ...nic(`dhcpOptions: {privateOptions: [{option: ${option}, value: a}]}`),
      field: "P",
      message: optionRange,
    })),
  },
  {
    code: "PT-NET-49",
    // KubeVirt drops leading zeros when it reads the object.
    accepted: [nic("dhcpOptions: {ntpServers: [10.0.0.1, 010.000.0.1]}")],
    rejected: ["fe80::1", "ntp.org"].map((server) => ({
      ...nic(`dhcpOptions: {ntpServers: ["${server}"]}`),
      field: `${I}[0].dhcpOptions.ntpServers[0]`,
      message: ntpText,
    })),
  },
];

const strict: Partial<Settings> = { compat: "strict" };
export const DISCONTINUED_CASES: readonly RuleCase[] = [
  {
    code: "PT-C-1",
    accepted: [{ n: `[${pod0}]`, i: "[{name: a, binding: {name: slirp}}]", settings: strict }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, slirp: {}}]",
        settings: strict,
        field: "spec.domain.devices.interfaces[0].slirp",
        message: "Slirp interface support has been discontinued since v1.3",
      },
    ],
  },
  {
    code: "PT-C-2",
    accepted: [{ n: `[${pod0}]`, i: "[{name: a, passtBinding: {}}]", settings: strict }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, passt: {}}]",
        settings: strict,
        field: "spec.domain.devices.interfaces[0].passt",
        message: "Passt network binding has been discontinued since v1.3",
      },
    ],
  },
  {
    code: "PT-C-3",
    accepted: [{ n: `[${mul0}]`, i: "[{name: a, binding: {name: macvtap}}]", settings: strict }],
    rejected: [
      {
        n: `[${mul0}]`,
        i: "[{name: a, macvtap: {}}]",
        settings: strict,
        field: "spec.domain.devices.interfaces[0].macvtap",
        message: "Macvtap network binding has been discontinued since v1.3",
      },
    ],
  },
  {
    code: "PT-C-4",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]`, settings: { ...strict, gates: { Passt: true } } }],
    rejected: [
      {
        n: `[${pod0}]`,
        i: "[{name: a, passt: {}}]",
        settings: { ...strict, gates: { Passt: true } },
        field: "",
        reason: "FieldValueNotSupported",
        message:
          "Passt network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives.",
      },
      {
        n: `[${mul0}]`,
        i: "[{name: a, macvtap: {}}]",
        settings: { ...strict, gates: { Macvtap: true } },
        field: "",
        reason: "FieldValueNotSupported",
        message:
          "Macvtap network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives.",
      },
    ],
  },
];

/** One cloud-init volume of these keys, with its disk. */
function cloudInit(keys: string): Fragment {
  return { d: "", s: `volumes: [{name: ci, cloudInitNoCloud: {${keys}}}]`, n: `[${pod0}]`, i: `[${masq0}]` };
}
const dnsLabel =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const V = "P.volumes[0].cloudInitNoCloud";
const K = "P.domain.firmware.kernelBoot";

export const RELATED_CASES: readonly RuleCase[] = [
  {
    code: "PT-REL-1",
    accepted: [
      { n: `[${pod0}]`, i: `[${br0}]`, s: "readinessProbe: {tcpSocket: {port: 22}}" },
      { n: `[${mul0}]`, i: `[${br0}]`, s: "readinessProbe: {guestAgentPing: {}}" },
    ],
    rejected: [
      {
        n: `[${mul0}]`,
        i: `[${br0}]`,
        s: "readinessProbe: {tcpSocket: {port: 22}}",
        field: "P.readinessProbe.tcpSocket",
        message: "{P}.readinessProbe.tcpSocket is only allowed if the Pod Network is attached",
      },
      {
        n: `[${mul0}]`,
        i: `[${br0}]`,
        s: "livenessProbe: {httpGet: {port: 80}}",
        field: "P.livenessProbe.httpGet",
        message: "{P}.livenessProbe.httpGet is only allowed if the Pod Network is attached",
      },
    ],
  },
  {
    code: "PT-REL-2",
    accepted: [nic("bootOrder: 1")],
    rejected: [
      {
        ...nic("bootOrder: 0"),
        field: "P[0].bootOrder",
        message: "{P}[0] must have a boot order > 0, if supplied",
      },
    ],
  },
  {
    code: "PT-REL-3",
    accepted: [
      {
        n: `[${pod0}, {name: b, multus: {networkName: x}}]`,
        i: "[{name: a, masquerade: {}, bootOrder: 1}, {name: b, bridge: {}, bootOrder: 2}]",
      },
    ],
    rejected: [
      {
        n: `[${pod0}, {name: b, multus: {networkName: x}}]`,
        i: "[{name: a, masquerade: {}, bootOrder: 1}, {name: b, bridge: {}, bootOrder: 1}]",
        field: `${I}[1].bootOrder`,
        message:
          "Boot order for {P}.domain.devices.interfaces[1].bootOrder already set for a different device.",
      },
    ],
  },
  {
    code: "PT-REL-4",
    accepted: [{ n: `[${pod0}]`, i: `[${masq0}]`, d: "launchSecurity: {sev: {}}" }],
    rejected: [
      {
        ...nic("bootOrder: 1"),
        d: "launchSecurity: {sev: {}}",
        field: "P.launchSecurity",
        message: "SEV does not work with bootable NICs: a",
      },
    ],
  },
  {
    code: "PT-REL-5",
    accepted: [
      {
        n: `[${pod0}]`,
        i: `[${masq0}]`,
        m: "annotations: {hooks.kubevirt.io/hookSidecars: '[]'}",
        settings: { gates: { Sidecar: true } },
      },
    ],
    rejected: [
      {
        n: `[${pod0}]`,
        i: `[${masq0}]`,
        m: "annotations: {hooks.kubevirt.io/hookSidecars: '[]'}",
        field: "M.annotations",
        message:
          "sidecar feature gate is not enabled in kubevirt-config, invalid entry {M}.annotations.hooks.kubevirt.io/hookSidecars",
      },
    ],
  },
  {
    code: "PT-REL-6",
    accepted: [
      cloudInit("userData: x"),
      cloudInit("networkData: x"),
      cloudInit("userDataBase64: eA=="),
      cloudInit("secretRef: {name: s}, networkDataSecretRef: {name: s}"),
      cloudInit(`userData: "${"x".repeat(2048)}"`),
    ],
    rejected: [
      {
        ...cloudInit("networkData: x, networkDataBase64: eA=="),
        field: V,
        message: "{P}.volumes[0].cloudInitNoCloud must have only one networkdata source set.",
      },
      {
        ...cloudInit("userData: x, secretRef: {name: s}"),
        field: V,
        message: "{P}.volumes[0].cloudInitNoCloud must have only one userdatasource set.",
      },
      {
        ...cloudInit(`userData: "${"x".repeat(2049)}"`),
        field: V,
        message:
          "{P}.volumes[0].cloudInitNoCloud userdata exceeds 2048 byte limit. Should use UserDataSecretRef for larger data.",
      },
      {
        ...cloudInit(`networkData: "${"ü".repeat(1025)}"`),
        field: V,
        message:
          "{P}.volumes[0].cloudInitNoCloud networkdata exceeds 2048 byte limit. Should use NetworkDataSecretRef for larger data.",
      },
      {
        ...cloudInit(""),
        field: V,
        message:
          "{P}.volumes[0].cloudInitNoCloud must have at least one userdatasource or one networkdatasource set.",
      },
      {
        ...cloudInit('userDataBase64: "%"'),
        field: `${V}.userDataBase64`,
        message:
          "{P}.volumes[0].cloudInitNoCloud.userDataBase64.cloudInitNoCloud.userDataBase64 is not a valid base64 value.",
      },
    ],
  },
  {
    code: "PT-REL-7",
    accepted: [
      { s: "dnsPolicy: None, dnsConfig: {nameservers: [10.1.1.1]}" },
      { s: "dnsPolicy: ClusterFirst" },
      { s: "dnsConfig: {searches: [a.example], options: [{name: ndots, value: '2'}]}" },
    ],
    rejected: [
      {
        s: "dnsPolicy: Sometimes",
        field: "P.dnsPolicy",
        reason: "FieldValueNotSupported",
        message:
          "DNSPolicy: Sometimes is not supported, valid values: [ClusterFirstWithHostNet ClusterFirst Default None ]",
      },
      {
        s: "dnsPolicy: None",
        field: "P.dnsConfig",
        reason: "FieldValueRequired",
        message: "must provide `dnsConfig` when `dnsPolicy` is None",
      },
      {
        s: "dnsPolicy: None, dnsConfig: {}",
        field: "nameservers",
        reason: "FieldValueRequired",
        message: "must provide at least one DNS nameserver when `dnsPolicy` is None",
      },
      {
        s: "dnsConfig: {nameservers: [1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4]}",
        field: "nameservers",
        message: "must not have more than 3 nameservers: [1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4]",
      },
      {
        s: "dnsConfig: {nameservers: [dns.example]}",
        field: "nameservers",
        message: "must be valid IP address: dns.example",
      },
      {
        s: "dnsConfig: {searches: [a, b, c, d, e, f, g]}",
        field: "searchDomains",
        message: "must not have more than 6 search paths",
      },
      {
        s: "dnsConfig: {options: [{value: '2'}]}",
        field: "options",
        message: "Option.Name must not be empty",
      },
    ],
  },
  {
    code: "PT-REL-8",
    accepted: [{ s: "hostname: vm1, subdomain: db.example" }],
    rejected: [
      {
        s: "hostname: vm_1",
        field: "P.hostname",
        message: `{P}.hostname does not conform to the kubernetes DNS_LABEL rules : ${dnsLabel}`,
      },
    ],
  },
  {
    code: "PT-REL-9",
    accepted: [{ s: "resourceClaims: [{name: c, resourceClaimName: rc}]" }],
    rejected: [
      {
        s: "resourceClaims: [{name: c}]",
        field: "P.resourceClaims[0]",
        message: "must specify one of: resourceClaimName, resourceClaimTemplateName",
      },
      {
        s: "resourceClaims: [{name: c, resourceClaimName: a, resourceClaimTemplateName: b}]",
        field: "P.resourceClaims[0]",
        message: "at most one of resourceClaimName or resourceClaimTemplateName may be specified",
      },
      {
        s: "resourceClaims: [{name: c, resourceClaimName: a}, {name: c, resourceClaimName: b}]",
        field: "P.resourceClaims[1].name",
        reason: "FieldValueDuplicate",
        message: 'duplicate resourceClaims name "c"',
      },
    ],
  },
  {
    code: "PT-REL-10",
    accepted: [{ m: "labels: {kubevirt.io/vm: x}" }],
    rejected: ["nodeName", "created-by", "migrationJobUID", "migrationTargetNodeName", "schedulable"].map(
      (label) => ({
        m: `labels: {kubevirt.io/${label}: n}`,
        field: "M.labels",
        reason: "FieldValueNotSupported",
        message: "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited",
      }),
    ),
  },
  {
    code: "PT-REL-13",
    accepted: [{ s: "readinessProbe: {tcpSocket: {port: 22}}" }],
    rejected: [
      {
        s: "readinessProbe: {periodSeconds: 5}",
        field: "P.readinessProbe",
        reason: "FieldValueRequired",
        message:
          "either {P}.readinessProbe.tcpSocket, {P}.readinessProbe.exec or {P}.readinessProbe.httpGet must be set if a {P}.readinessProbe is specified",
      },
      {
        s: "readinessProbe: {tcpSocket: {port: 22}, exec: {command: [ls]}}",
        field: "P.readinessProbe",
        message: "{P}.readinessProbe must have exactly one probe type set",
      },
    ],
  },
  {
    code: "PT-REL-14",
    accepted: [{ d: "firmware: {kernelBoot: {container: {image: i, kernelPath: /k}}}" }],
    rejected: [
      {
        d: "firmware: {kernelBoot: {kernelArgs: x}}",
        field: `${K}.kernelArgs`,
        message: "kernel arguments cannot be provided without an external kernel",
      },
      {
        d: "firmware: {kernelBoot: {container: {kernelPath: /k}}}",
        field: `${K}.container.image`,
        reason: "FieldValueRequired",
        message: "{P}.domain.firmware.kernelBoot.container must be defined with an image",
      },
      {
        d: "firmware: {kernelBoot: {container: {image: i}}}",
        field: `${K}.container`,
        reason: "FieldValueRequired",
        message:
          "{P}.domain.firmware.kernelBoot.container must be defined with at least one of the following: kernelPath, initrdPath",
      },
    ],
  },
];
