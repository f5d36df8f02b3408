/**
 * Admission of `networks[]`: rules 1-6, 17-25 of KubeVirt's network admitter (`pkg/network/admitter`:
 * netsource.go, dra.go, netiface.go), with its texts.
 */
import { askingKeys, spellingOf } from "../binding-admission.ts";
import { errorAt, type Finding, goQuote } from "../finding.ts";
import { formatPath } from "../path.ts";
import { gateIsOn } from "../settings.ts";
import { networkPath, networksOf, nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

/** Rule 1. KubeVirt names the path `interfaces` below the spec, where there is none. */
export function singlePodNetwork(vmi: SpecContext): readonly Finding[] {
  const second = networksOf(vmi).flatMap((network, i) => (network.pod === undefined ? [] : [i]))[1];
  if (second === undefined) return [];
  const field = formatPath([...vmi.path, "interfaces"]);
  return [
    errorAt({
      code: "PT-NET-1",
      at: networkPath(vmi, second),
      field,
      reason: "FieldValueDuplicate",
      message: `more than one interface is connected to a pod network in ${field}`,
      hint: "A pod has one network of its own: give the other NICs a `multus` network.",
    }),
  ];
}

/** Rule 2. */
export function singleMultusDefault(vmi: SpecContext): readonly Finding[] {
  const second = networksOf(vmi).flatMap((network, i) => (network.multus?.default === true ? [i] : []))[1];
  if (second === undefined) return [];
  return [
    errorAt({
      code: "PT-NET-2",
      at: networkPath(vmi, second),
      field: formatPath([...vmi.path, "networks"]),
      message: "Multus CNI should only have one default network",
      hint: "Leave `default: true` on one network.",
    }),
  ];
}

/** Rule 3. */
export function podOrMultusDefault(vmi: SpecContext): readonly Finding[] {
  const networks = networksOf(vmi);
  const defaulted = networks.findIndex((network) => network.multus?.default === true);
  if (defaulted < 0 || !networks.some((network) => network.pod !== undefined)) return [];
  return [
    errorAt({
      code: "PT-NET-3",
      at: networkPath(vmi, defaulted),
      field: formatPath([...vmi.path, "networks"]),
      message: "Pod network cannot be defined when Multus default network is defined",
      hint: "Remove `pod: {}` or take `default: true` off the multus network.",
    }),
  ];
}

/** Rules 4 and 5. */
export function oneNetworkSource(vmi: SpecContext): readonly Finding[] {
  return networksOf(vmi).flatMap(({ pod, multus, resourceClaim }, i) => {
    const sources = [pod, multus, resourceClaim].filter((source) => source !== undefined).length;
    const at = networkPath(vmi, i);
    const reason = "FieldValueRequired";
    if (sources === 0) {
      const hint = "Write `pod: {}` for the pod's network, or `multus: {networkName: …}` for a NAD.";
      return [errorAt({ code: "PT-NET-4", at, reason, message: "should have a network type", hint })];
    }
    if (sources > 1) {
      const hint = "Keep one of pod, multus and resourceClaim; a second network needs an entry of its own.";
      return [errorAt({ code: "PT-NET-5", at, reason, message: "should have only one network type", hint })];
    }
    return [];
  });
}

/** Rule 6; KubeVirt stops at the first, podtap names each. */
export function multusNetworkName(vmi: SpecContext): readonly Finding[] {
  return networksOf(vmi).flatMap(({ multus }, i) =>
    multus === undefined || (multus.networkName ?? "") !== ""
      ? []
      : [
          errorAt({
            code: "PT-NET-6",
            at: networkPath(vmi, i),
            reason: "FieldValueRequired",
            message: "CNI delegating plugin must have a networkName",
            hint: "Name the NetworkAttachmentDefinition: networkName: my-nad, or namespace/my-nad.",
          }),
        ],
  );
}

/** Rule 17. */
export function uniqueNetworkNames(vmi: SpecContext): readonly Finding[] {
  const names = networksOf(vmi).map(({ name }) => name);
  return names.flatMap((name, i) =>
    names.indexOf(name) === i
      ? []
      : [
          errorAt({
            code: "PT-NET-17",
            at: [...networkPath(vmi, i), "name"],
            reason: "FieldValueDuplicate",
            message: `Network with name ${goQuote(name)} already exists, every network must have a unique name`,
            hint: "Rename one of the two, and the interface that goes with it.",
          }),
        ],
  );
}

/** Rules 18 to 24: networks of dynamic resource allocation. 18 and 19 end the checks, as in KubeVirt. */
export function resourceClaimNetworks(vmi: SpecContext): readonly Finding[] {
  const networks = networksOf(vmi);
  const first = networks.findIndex((network) => network.resourceClaim !== undefined);
  if (first < 0) return [];
  const place = { at: networkPath(vmi, first), field: formatPath([...vmi.path, "networks"]) };
  if (!gateIsOn(vmi.settings, "NetworkDevicesWithDRA")) {
    const message =
      "vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled";
    const hint = "Switch the gate NetworkDevicesWithDRA on, or use a multus network.";
    return [errorAt({ code: "PT-NET-18", ...place, message, hint })];
  }
  if (networks.some((network) => network.multus !== undefined)) {
    const message = "mixing Multus and DRA resourceClaim networks in the same VMI is not supported";
    const hint = "Use either multus or resourceClaim networks in one VM; a pod network may go with both.";
    return [errorAt({ code: "PT-NET-19", ...place, message, hint })];
  }
  return [...claimInterfaces(vmi), ...claimNames(vmi), ...uniqueClaims(vmi)];
}

/** Rule 20. */
function claimInterfaces(vmi: SpecContext): readonly Finding[] {
  const able = vmi.settings.known.filter(({ resourceClaims }) => resourceClaims);
  return nicsOf(vmi).flatMap(({ iface, at, network }) =>
    network?.resourceClaim === undefined ||
    iface.binding !== undefined ||
    able.some((binding) => askingKeys(binding, iface).length > 0)
      ? []
      : [
          errorAt({
            code: "PT-NET-20",
            at,
            field: formatPath([...vmi.path, "domain", "devices", "interfaces"]),
            message: `DRA network ${goQuote(network.name)} requires an ${able.map(({ title }) => title).join(", ")} or binding plugin interface`,
            hint: `Write ${able.map((binding) => `\`${spellingOf(binding)}\``).join(", ")} or \`binding: {name: …}\` on this interface.`,
          }),
        ],
  );
}

/** Rules 21, 22 and 23. */
function claimNames(vmi: SpecContext): readonly Finding[] {
  const declared = new Set((vmi.spec.resourceClaims ?? []).map((claim) => claim.name));
  return networksOf(vmi).flatMap(({ resourceClaim }, i) => {
    if (resourceClaim === undefined) return [];
    const { claimName = "", requestName = "" } = resourceClaim;
    const at = [...networkPath(vmi, i), "resourceClaim"];
    const findings: Finding[] = [];
    if (claimName === "") {
      const message = "claimName is required for DRA network";
      const hint = "Name an entry of spec.resourceClaims.";
      findings.push(
        errorAt({ code: "PT-NET-21", at: [...at, "claimName"], reason: "FieldValueRequired", message, hint }),
      );
    }
    if (requestName === "") {
      const message = "requestName is required for DRA network";
      const hint = "Name the request inside the resource claim.";
      findings.push(
        errorAt({
          code: "PT-NET-22",
          at: [...at, "requestName"],
          reason: "FieldValueRequired",
          message,
          hint,
        }),
      );
    }
    if (claimName !== "" && !declared.has(claimName)) {
      const message = `network references resourceClaim ${goQuote(claimName)} which is not defined in spec.resourceClaims`;
      const hint = `Add {name: ${claimName}, resourceClaimTemplateName: …} to spec.resourceClaims.`;
      findings.push(
        errorAt({ code: "PT-NET-23", at: [...at, "claimName"], reason: "FieldValueNotFound", message, hint }),
      );
    }
    return findings;
  });
}

/** Rule 24. */
function uniqueClaims(vmi: SpecContext): readonly Finding[] {
  const seen = new Set<string>();
  return networksOf(vmi).flatMap(({ resourceClaim }, i) => {
    const { claimName = "", requestName = "" } = resourceClaim ?? {};
    if (claimName === "" || requestName === "") return [];
    const pair = `${claimName}/${requestName}`;
    const repeated = seen.has(pair);
    seen.add(pair);
    if (!repeated) return [];
    const message = `duplicate claimName/requestName combination ${goQuote(pair)}`;
    const hint = "Each network needs a device of its own: use another request.";
    const reason = "FieldValueDuplicate";
    return [errorAt({ code: "PT-NET-24", at: networkPath(vmi, i), reason, message, hint })];
  });
}

/** Rule 25. */
export function networksHaveInterfaces(vmi: SpecContext): readonly Finding[] {
  const names = new Set(nicsOf(vmi).map(({ iface }) => iface.name));
  return networksOf(vmi).flatMap(({ name }, i) => {
    if (names.has(name)) return [];
    const at = [...networkPath(vmi, i), "name"];
    return [
      errorAt({
        code: "PT-NET-25",
        at,
        reason: "FieldValueRequired",
        message: `${formatPath(at)} '${name}' not found.`,
        hint: `Add an interface with name: ${name} to domain.devices.interfaces, or remove this network.`,
      }),
    ];
  });
}

export const NETWORK_RULES: readonly SpecRule[] = [
  singlePodNetwork,
  singleMultusDefault,
  podOrMultusDefault,
  oneNetworkSource,
  multusNetworkName,
  uniqueNetworkNames,
  resourceClaimNetworks,
  networksHaveInterfaces,
];
