/**
 * Instancetypes and preferences: what a VM names instead of saying how large it is and which devices it prefers. There
 * is no cluster that keeps them, so podtap works them into the VM's template when it reads the files, as KubeVirt does
 * when it makes the VMI (`pkg/instancetype`): the instancetype decides, the preference fills in what is not said.
 */
import { COMMON_INSTANCETYPES } from "./common-instancetypes.ts";
import { withDefaultNic } from "./defaults.ts";
import { type Finding, warningAt } from "./finding.ts";
import { INSTANCETYPE_KINDS, PREFERENCE_KINDS } from "./kinds.ts";
import type { KubeObject } from "./object.ts";
import type { Settings } from "./settings.ts";
import { isPlainObject } from "./structure.ts";
import type {
  CpuSpec,
  DiskSpec,
  InterfaceSpec,
  NetworkSpec,
  TypeMatcher,
  VirtualMachine,
  VmiSpec,
} from "./types.ts";

type Fields = Readonly<Record<string, unknown>>;
type Which = "instancetype" | "preference";

export interface Expanded {
  readonly vm: VirtualMachine;
  readonly findings: readonly Finding[];
  /** What it was made with. */
  readonly used: readonly KubeObject[];
}

/** The VM with what it names worked into its template; what is not among `definitions` stays named. */
export function expandVm(
  vm: VirtualMachine,
  definitions: readonly KubeObject[],
  settings: Settings,
): Expanded {
  if (vm.spec?.template?.spec?.domain?.devices === undefined) return { vm, findings: [], used: [] };
  const instancetype = definitionOf(vm, "instancetype", definitions);
  const preference = definitionOf(vm, "preference", definitions);
  const found = [instancetype, preference].flatMap((one) => one ?? []);
  if (found.length === 0) return { vm, findings: [], used: [] };
  const { template, ...rest } = vm.spec;
  const sized =
    instancetype === undefined
      ? { spec: template.spec, findings: [] }
      : withInstancetype(template.spec, instancetype.spec, topologyWish(preference?.spec), nameOf(vm));
  const spec = preference === undefined ? sized.spec : withPreference(sized.spec, preference.spec, settings);
  const named = Object.entries(rest).filter(
    ([key]) =>
      !(key === "instancetype" && instancetype !== undefined) &&
      !(key === "preference" && preference !== undefined),
  );
  return {
    vm: { ...vm, spec: { ...(Object.fromEntries(named) as typeof rest), template: { ...template, spec } } },
    findings: sized.findings,
    used: found.flatMap(({ object }) => object ?? []),
  };
}

/** What a VM names still: it was in none of the files, and there is no cluster to ask. */
export function unknownDefinitions({ spec }: VirtualMachine): readonly Finding[] {
  return (["instancetype", "preference"] as const).flatMap((which) => {
    const matcher = spec[which];
    if (matcher === undefined) return [];
    const message =
      matcher.name === undefined
        ? `podtap infers no ${which} from a volume; the VM is made as its template says`
        : `${which} ${matcher.name} is not known here; the VM is made as its template says`;
    const hint =
      which === "instancetype"
        ? "Give the file with it, too, or write domain.memory.guest and domain.cpu in its place."
        : "Give the file with it, too, or write the buses and models into the template.";
    return [
      warningAt({ code: "PT-EARLY-55", at: ["spec", which], reason: "FieldValueNotFound", message, hint }),
    ];
  });
}

interface Definition {
  readonly spec: Fields;
  /** Undefined for one that KubeVirt brings along. */
  readonly object?: KubeObject;
}

function definitionOf(
  { spec, metadata }: VirtualMachine,
  which: Which,
  definitions: readonly KubeObject[],
): Definition | undefined {
  const matcher: TypeMatcher | undefined = spec[which];
  if (matcher?.name === undefined) return undefined;
  const [namespaced, cluster] = which === "instancetype" ? INSTANCETYPE_KINDS : PREFERENCE_KINDS;
  // KubeVirt takes kinds in any case, singular or plural.
  const isNamespaced = matcher.kind?.toLowerCase().replace(/s$/, "") === namespaced?.toLowerCase();
  const object = definitions.find(
    (one) =>
      one.kind === (isNamespaced ? namespaced : cluster) &&
      // One without metadata is reported, and goes on.
      one.metadata?.name === matcher.name &&
      (!isNamespaced || (one.metadata?.namespace || "default") === (metadata?.namespace || "default")),
  );
  if (object !== undefined) return { spec: fieldsOf(object.spec), object };
  const common = isNamespaced || which === "preference" ? undefined : COMMON_INSTANCETYPES.get(matcher.name);
  return common === undefined ? undefined : { spec: common };
}

function withInstancetype(
  spec: VmiSpec,
  instancetype: Fields,
  topology: string,
  name: string,
): { readonly spec: VmiSpec; readonly findings: readonly Finding[] } {
  const { domain } = spec;
  const guest = numberOf(fieldsOf(instancetype["cpu"])["guest"]);
  const memory = textOf(fieldsOf(instancetype["memory"])["guest"]);
  const model = textOf(fieldsOf(instancetype["cpu"])["model"]);
  const at = ["spec", "template", "spec", "domain"];
  const overruled = [
    ...(domain.memory?.guest === undefined || memory === undefined ? [] : [[...at, "memory", "guest"]]),
    ...(["cores", "sockets", "threads"] as const)
      .filter((part) => guest !== undefined && domain.cpu?.[part] !== undefined)
      .map((part) => [...at, "cpu", part]),
  ];
  const findings = overruled.map((place) =>
    warningAt({
      code: "PT-EARLY-56",
      at: place,
      message: `the instancetype ${name} decides this; KubeVirt rejects a VM that says it, too`,
      hint: "Remove the field.",
    }),
  );
  return {
    findings,
    spec: {
      ...spec,
      domain: {
        ...domain,
        ...(memory === undefined ? {} : { memory: { ...domain.memory, guest: memory } }),
        cpu: {
          ...domain.cpu,
          ...(guest === undefined ? {} : laidOut(guest, topology)),
          ...(model === undefined ? {} : { model }),
        },
      },
    },
  };
}

/** `preferredCPUTopology`, without the prefix that older versions have. */
function topologyWish(preference: Fields = {}): string {
  const wish = textOf(fieldsOf(preference["cpu"])["preferredCPUTopology"]) ?? "sockets";
  return wish.replace(/^prefer/, "").toLowerCase();
}

/** KubeVirt's ratio of cores to sockets where CPUs are spread. */
const SPREAD_RATIO = 2;

function laidOut(count: number, topology: string): Required<Pick<CpuSpec, "cores" | "sockets" | "threads">> {
  if (topology === "cores") return { cores: count, sockets: 1, threads: 1 };
  if (topology === "threads") return { cores: 1, sockets: 1, threads: count };
  if (topology === "spread" && count % SPREAD_RATIO === 0) {
    return { cores: SPREAD_RATIO, sockets: count / SPREAD_RATIO, threads: 1 };
  }
  return { cores: 1, sockets: count, threads: 1 };
}

function withPreference(written: VmiSpec, preference: Fields, settings: Settings): VmiSpec {
  const wishes = fieldsOf(preference["devices"]);
  const attach = wishes["preferredAutoattachPodInterface"];
  const autoattach = written.domain.devices.autoattachPodInterface ?? booleanOf(attach);
  const attached: VmiSpec = {
    ...written,
    domain: {
      ...written.domain,
      devices: {
        ...written.domain.devices,
        ...(autoattach === undefined ? {} : { autoattachPodInterface: autoattach }),
      },
    },
  };
  // KubeVirt, too, adds the default NIC first, so that the preference counts for it.
  const spec = withDefaultNic(attached, settings);
  const { devices } = spec.domain;
  const machine = textOf(fieldsOf(preference["machine"])["preferredMachineType"]);
  const grace = numberOf(preference["preferredTerminationGracePeriodSeconds"]);
  const subdomain = textOf(preference["preferredSubdomain"]);
  const networks = spec.networks ?? [];
  return {
    ...spec,
    ...(spec.subdomain === undefined && subdomain !== undefined && { subdomain }),
    ...(spec.terminationGracePeriodSeconds === undefined &&
      grace !== undefined && { terminationGracePeriodSeconds: grace }),
    domain: {
      ...spec.domain,
      ...(spec.domain.machine?.type === undefined && machine !== undefined && { machine: { type: machine } }),
      devices: {
        ...switches(devices, wishes),
        ...devices,
        ...(devices.rng === undefined && isPlainObject(wishes["preferredRng"]) && { rng: {} }),
        ...(devices.disks && { disks: devices.disks.map((disk) => preferredDisk(disk, wishes)) }),
        ...(devices.interfaces && {
          interfaces: devices.interfaces.map((iface) => preferredNic(iface, networks, wishes, settings)),
        }),
      },
    },
  };
}

const SWITCHES = {
  networkInterfaceMultiqueue: "preferredNetworkInterfaceMultiQueue",
  useVirtioTransitional: "preferredUseVirtioTransitional",
  autoattachSerialConsole: "preferredAutoattachSerialConsole",
} as const;

function switches(devices: VmiSpec["domain"]["devices"], wishes: Fields): Partial<typeof devices> {
  return Object.fromEntries(
    Object.entries(SWITCHES).flatMap(([field, wish]) => {
      const value = booleanOf(wishes[wish]);
      return value === undefined ? [] : [[field, value] as const];
    }),
  );
}

function preferredDisk(disk: DiskSpec, wishes: Fields): DiskSpec {
  const bus = (wish: string, asked: string | undefined): object => {
    const preferred = textOf(wishes[wish]);
    return asked !== undefined || preferred === undefined ? {} : { bus: preferred };
  };
  const { cdrom, lun } = disk;
  const cache = textOf(wishes["preferredDiskCache"]);
  const whole = { ...disk, ...(disk.cache === undefined && cache !== undefined && { cache }) };
  if (cdrom !== undefined) return { ...whole, cdrom: { ...cdrom, ...bus("preferredCdromBus", cdrom.bus) } };
  if (lun !== undefined) return { ...whole, lun: { ...lun, ...bus("preferredLunBus", lun.bus) } };
  return { ...whole, disk: { ...disk.disk, ...bus("preferredDiskBus", disk.disk?.bus) } };
}

function preferredNic(
  iface: InterfaceSpec,
  networks: readonly NetworkSpec[],
  wishes: Fields,
  { known }: Settings,
): InterfaceSpec {
  const model = textOf(wishes["preferredInterfaceModel"]);
  const onPod = networks.some(({ name, pod }) => name === iface.name && pod !== undefined);
  const asks =
    iface.binding !== undefined || known.some(({ method, old }) => iface[method] ?? iface[old?.key ?? ""]);
  // The only binding that a preference can name: it names the method key itself.
  const methods = Object.entries(wishes).flatMap(([wish, value]) => {
    const key = /^preferredInterface([A-Z]\w*)$/.exec(wish)?.[1];
    const method = known.find((binding) => binding.method.toLowerCase() === key?.toLowerCase())?.method;
    return method === undefined || !isPlainObject(value) ? [] : [[method, {}] as const];
  });
  return {
    ...iface,
    ...(iface.model === undefined && model !== undefined && { model }),
    ...(onPod && !asks && Object.fromEntries(methods)),
  };
}

function nameOf({ spec }: VirtualMachine): string {
  return spec.instancetype?.name ?? "";
}

function fieldsOf(value: unknown): Fields {
  return isPlainObject(value) ? value : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

function booleanOf(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}
