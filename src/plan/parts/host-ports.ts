/**
 * Without root there is no pod, and a guest is reached by ports of the host: which ones, and where they are listened
 * on. A declared port is the same on the host, where an ordinary user may bind it; one that is root's is moved up by
 * 10000. `podtap.io/host-ports` says otherwise, port by port: `8080:80, [::1]:5353:53/udp, *:2222:22`.
 */
import { HOST_PORTS_ANNOTATION } from "../../api/annotations.ts";
import type { LabelledAddress } from "../../api/types.ts";
import { type Ip, parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { NicContext, NicEvidence, RootlessFacts } from "../binding.ts";
import type { HostPorts, NicPlan } from "../plan.ts";
import type { OpenPorts } from "./inbound.ts";
import { formatInterval, type PortInterval } from "./port-intervals.ts";

const MOVED_BY = 10_000;
const PORT_MAX = 65_535;
const LOOPBACK = "127.0.0.1" as string as Ip;
/** `[ADDRESS:]HOST:GUEST[/PROTOCOL]` */
const ENTRY = /^(?:(\*|[0-9.]+|\[[0-9a-fA-F:.]+\]):)?([0-9]{1,5}):([0-9]{1,5})(?:\/(tcp|udp))?$/;

/** @param open nothing but what is declared is ever opened: `all` is none */
export function hostPortsOf(
  nic: NicContext,
  rootless: RootlessFacts,
  open: OpenPorts["ports"],
): Result<readonly HostPorts[]> {
  const declared = open === "all" ? [] : open;
  const wanted = entriesOf(nic.annotations[HOST_PORTS_ANNOTATION] ?? "");
  const ports: HostPorts[] = [];
  for (const entry of wanted) {
    if (typeof entry === "string") return failed(refusal(`cannot be read at '${entry}'`));
    if (!declared.some((one) => covers(one, entry))) {
      const text = `${entry.start}/${entry.protocol}`;
      return failed(refusal(`names port ${text}, which interface ${nic.interface.name} does not declare`));
    }
    ports.push(entry);
  }
  for (const rest of declared.flatMap((one) => without(one, ports))) {
    const moved = rest.start < rootless.firstPort;
    ports.push({ ...rest, listen: rootless.listen, host: rest.start + (moved ? MOVED_BY : 0) });
  }
  const wrong = ports.find((one) => one.host < rootless.firstPort || lastHost(one) > PORT_MAX);
  if (wrong !== undefined) {
    return failed(
      refusal(
        `would take port ${wrong.host} of the host, and users have ${rootless.firstPort} to ${PORT_MAX}`,
      ),
    );
  }
  const twice = ports.flatMap((one, at) =>
    ports.slice(0, at).flatMap((other) => sharedPort(one, other) ?? []),
  )[0];
  if (twice !== undefined) return failed(refusal(`would take port ${twice} of the host twice`));
  return ok(ports);
}

/** What to dial: there is an address even where no port is open. */
export function listenersOf(rootless: RootlessFacts, ports: readonly HostPorts[] = []): readonly Ip[] {
  const at = ports.map(({ listen }) => (listen === "*" ? rootless.listen : listen));
  return at.length === 0 ? [rootless.listen] : [...new Set(at)];
}

/** `127.0.0.1:8080 -> 80/TCP` */
export function hostPortText(ports: Omit<HostPorts, "listen"> & { readonly listen: string }): string {
  const { listen, host, start, end, protocol } = ports;
  const place = listen.includes(":") ? `[${listen}]` : listen;
  const taken = formatInterval({ protocol, start: host, end: host + end - start });
  return `${place}:${taken} -> ${formatInterval({ protocol, start, end })}/${protocol.toUpperCase()}`;
}

/** Nothing where there is a pod. */
export function hostPortNotes({ vm, annotations }: NicContext, { ports }: OpenPorts): readonly string[] {
  if (vm.rootless === undefined) {
    const asked = annotations[HOST_PORTS_ANNOTATION] !== undefined;
    return asked ? [`${HOST_PORTS_ANNOTATION} is passed over: it is for VMs without root`] : [];
  }
  const closed = ports === "all" ? ["without root declared ports alone are open, and none is declared"] : [];
  const moved = (ports === "all" ? [] : ports).some(({ start }) => start < (vm.rootless?.firstPort ?? 0));
  const why = `ports below ${vm.rootless.firstPort} are root's: the guest's are moved up by ${MOVED_BY} where no annotation says`;
  return [...closed, ...(moved ? [why] : [])];
}

/** The host's port that leads to the guest's, with where to dial it. */
export function dialHostPort(
  ports: readonly HostPorts[],
  protocol: HostPorts["protocol"],
  port: number,
): readonly { readonly ip: Ip; readonly port: number }[] {
  return ports
    .filter((one) => one.protocol === protocol && one.start <= port && port <= one.end)
    .map((one) => ({ ip: one.listen === "*" ? LOOPBACK : one.listen, port: one.host + port - one.start }));
}

/** The guest's addresses are the host's too, and mean the host to everybody else. */
export function reportRootless({ addresses }: NicPlan, seen: NicEvidence): readonly LabelledAddress[] {
  const guest = [...new Set([...addresses.guest, ...seen.agentAddresses])];
  return [
    ...addresses.pod.map((ip): LabelledAddress => ({ ip, owner: "pod", source: "plan" })),
    ...guest.map((ip): LabelledAddress => {
      return { ip, owner: "guest", source: seen.agentAddresses.includes(ip) ? "guest-agent" : "plan" };
    }),
  ];
}

/** A text is an entry that cannot be read. */
function entriesOf(text: string): readonly (HostPorts | string)[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [, place, host, guest, protocol = "tcp"] = ENTRY.exec(entry) ?? [];
      const listen =
        place === undefined ? LOOPBACK : place === "*" ? "*" : parseIp(place.replace(/^\[|\]$/g, ""));
      const ports = [Number(host), Number(guest)] as const;
      if (listen === undefined || !ports.every((port) => port >= 1 && port <= PORT_MAX)) return entry;
      return {
        protocol: protocol === "udp" ? "udp" : "tcp",
        listen,
        host: ports[0],
        start: ports[1],
        end: ports[1],
      };
    });
}

function covers({ protocol, start, end }: PortInterval, entry: HostPorts): boolean {
  return protocol === entry.protocol && start <= entry.start && entry.end <= end;
}

/** What is left of an interval; the taken ones are single ports. */
function without(interval: PortInterval, taken: readonly HostPorts[]): readonly PortInterval[] {
  const holes = taken
    .filter((one) => covers(interval, one))
    .map(({ start }) => start)
    .sort((a, b) => a - b);
  const left: PortInterval[] = [];
  let from = interval.start;
  for (const hole of holes) {
    if (hole > from) left.push({ ...interval, start: from, end: hole - 1 });
    from = hole + 1;
  }
  return from > interval.end ? left : [...left, { ...interval, start: from }];
}

/** passt takes a port of the host once, on whichever address. */
function sharedPort(one: HostPorts, other: HostPorts): number | undefined {
  const first = Math.max(one.host, other.host);
  const shared = one.protocol === other.protocol && first <= Math.min(lastHost(one), lastHost(other));
  return shared ? first : undefined;
}

function lastHost({ host, start, end }: HostPorts): number {
  return host + end - start;
}

function refusal(why: string): Problem {
  return {
    code: "PT-ROOTLESS-1",
    severity: "error",
    reason: "FieldValueInvalid",
    field: `metadata.annotations[${HOST_PORTS_ANNOTATION}]`,
    message: `${HOST_PORTS_ANNOTATION} ${why}`,
    hint: "write it like \"8080:80, 127.0.0.1:2222:22, [::1]:5353:53/udp, *:8443:443\": the host's port, then the guest's",
  };
}
