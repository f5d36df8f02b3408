/** A plan for people: one thing a line, columns that line up, no braces. The golden tests compare this text. */
import type { BuiltinNetdev, DomainInterface } from "../domain/interface.ts";
import type { GuestService } from "../guest/config.ts";
import type { NftTable } from "../nft/model.ts";
import { renderTable } from "../nft/render.ts";
import type {
  HostLinkPlan,
  LinkPlan,
  LocalTraffic,
  NicPlan,
  Plan,
  PodNicPlan,
  RedirectPlan,
} from "./plan.ts";
import type { LinkChanges, Step } from "./step.ts";

export interface RenderOptions {
  /** Print the rules of every nft table, not only how many there are. */
  readonly rules?: boolean;
}

export function renderPlan(plan: Plan, options: RenderOptions = {}): string {
  return plan.nics.map((nic) => renderNic(nic, options)).join("\n");
}

/** What is missing, a step a line; empty when nothing is. */
export function renderSteps(steps: readonly Step[]): string {
  return steps.map((step) => `${renderStep(step)}\n`).join("");
}

function renderNic(nic: NicPlan, options: RenderOptions): string {
  const lines = [
    `nic ${nic.name}  ${nic.bindingName}  mac ${nic.mac} (${nic.macOrigin})`,
    `  pod     ${nic.podInterface}  ${nic.addresses.pod.join("  ") || "no address"}`,
    `  guest   ${nic.addresses.guest.join("  ") || "no address"}`,
    ...nic.links.flatMap(renderLink),
    ...nic.sysctls.map(({ key, value }) => `  sysctl  ${key} = ${value}`),
    ...nic.nft.flatMap((table) => renderNft(table, options)),
    ...nic.services.map(renderService),
    ...renderUserNetwork(nic),
    renderDomain(nic),
    ...(nic.hostLink ? [renderHostLink(nic.hostLink)] : []),
    ...nic.notes.map((note) => `  note    ${note}`),
  ];
  return `${lines.join("\n")}\n`;
}

function renderLink(link: LinkPlan): readonly string[] {
  return [headOf(link), ...detailsOf(link).map((detail) => `            ${detail}`)];
}

function headOf(link: LinkPlan): string {
  const head = `  link    ${link.name}  ${link.type}`;
  const words = (...all: readonly (string | false | undefined)[]): string =>
    [head, ...all.filter((word) => typeof word === "string")].join("  ");
  switch (link.type) {
    case "pod-nic":
      return words(
        link.mac && `mac ${link.mac}`,
        link.master && `master ${link.master}`,
        link.released && "addresses and routes given up",
      );
    case "bridge":
      return words(`mtu ${link.mtu}`, "up", link.mac && `mac ${link.mac}`);
    case "tap":
      return words(
        `mtu ${link.mtu}`,
        "up",
        link.master && `master ${link.master}`,
        `uid ${link.uid}`,
        link.multiQueue && "multi-queue",
      );
    case "park":
      return words(link.kind, `mtu ${link.mtu}`, "down", `mac ${link.mac}`);
    case "macvlan":
    case "macvtap":
      return words(`over ${link.lower}`, link.mode, `mtu ${link.mtu}`, "up", `mac ${link.mac}`);
  }
}

function detailsOf(link: LinkPlan): readonly string[] {
  const addresses = "addresses" in link ? link.addresses.map((address) => `address ${address}`) : [];
  const answers =
    link.type === "bridge"
      ? (link.neighbours ?? []).map(({ ip, mac }) => `answers for ${ip} with ${mac}`)
      : [];
  const port = link.type === "tap" || link.type === "pod-nic" ? renderPort(link) : [];
  return [...addresses, ...answers, ...port];
}

function renderPort({ port, redirect }: Pick<PodNicPlan, "port" | "redirect">): readonly string[] {
  const flags = [
    port?.learning === undefined ? [] : [`learning ${port.learning ? "on" : "off"}`],
    port?.neighbourSuppression === undefined
      ? []
      : [`neighbour suppression ${port.neighbourSuppression ? "on" : "off"}`],
    (port?.staticMacs ?? []).map((mac) => `holds ${mac}`),
  ].flat();
  return [
    ...(flags.length > 0 ? [`port ${flags.join("  ")}`] : []),
    ...(redirect === undefined ? [] : [renderRedirect(redirect)]),
  ];
}

function renderRedirect({ to, classifier, local, senders, intoPeer, shortcut }: RedirectPlan): string {
  const kept = local.map(renderLocal);
  const who = senders === undefined ? "" : `  of ${senders.mac} only`;
  const what = shortcut === undefined ? "redirect" : "shortcut for IP";
  return `${what} to ${to}${intoPeer ? "'s peer" : ""}  by ${classifier}${who}${kept.length > 0 ? `  but ${kept.join(", ")}` : ""}`;
}

function renderLocal(traffic: LocalTraffic): string {
  return "icmpType" in traffic
    ? `icmpv6 type ${traffic.icmpType}`
    : `ipv${traffic.family} udp port ${traffic.udpDestination}`;
}

function renderNft(table: NftTable, options: RenderOptions): readonly string[] {
  const rules = table.chains.reduce((sum, chain) => sum + chain.rules.length, 0);
  const elements = table.sets.reduce((sum, set) => sum + set.elements.length, 0);
  const maps = table.sets.length > 0 ? `  ${table.sets.length} maps of ${elements} elements` : "";
  const head = `  nft     ${table.family} ${table.name}  ${table.chains.length} chains  ${rules} rules${maps}`;
  if (!options.rules) return [head];
  const listing = renderTable(table).trimEnd().split("\n");
  return [head, ...listing.map((line) => (line === "" ? "" : `    ${line}`))];
}

function renderService(service: GuestService): string {
  const head = `  serve   ${service.type}  on ${service.link}`;
  switch (service.type) {
    case "dhcp4": {
      const { lease, router, nameservers, mtu, hostname, routes } = service.config;
      const shown = routes.map(({ destination, gateway }) => `${destination} ${gateway ?? "on link"}`);
      const more = shown.length > 0 ? `  routes ${shown.join(", ")}` : "";
      return `${head}  give ${lease}  router ${router ?? "none"}${more}  dns ${list(nameservers)}  mtu ${mtu}  hostname ${hostname}`;
    }
    case "dhcp6":
      return `${head}  give ${service.config.leaseIp}  dns ${list(service.config.nameservers)}`;
    case "neighbours": {
      const shown = service.config.neighbours.map(({ ip, mac }) => `${ip} is ${mac}`);
      return `${head}  answer ${list(shown)}`;
    }
    case "router-advert": {
      const { routerLifetimeSeconds, routerLinkLocal, prefixes, nameservers, mtu } = service.config;
      const router = routerLifetimeSeconds === 0 ? "none" : routerLinkLocal;
      const shown = prefixes.map(({ prefix, autonomous }) => `${prefix}${autonomous ? " (slaac)" : ""}`);
      return `${head}  router ${router}  prefix ${list(shown)}  dns ${list(nameservers)}  mtu ${mtu}`;
    }
  }
}

function renderUserNetwork({ userNetwork }: NicPlan): readonly string[] {
  if (userNetwork === undefined) return [];
  const { program, words } = userNetwork;
  return [`  run     ${program}  beside QEMU, without rights`, ...words.map((line) => `            ${line}`)];
}

function renderDomain({ domain }: NicPlan): string {
  const queues = domain.driver?.queues ? `  queues ${domain.driver.queues}` : "";
  return `  domain  ${domain.type}  ${renderAttachment(domain)}  model ${domain.model}  alias ${domain.alias}${queues}`;
}

function renderBuiltin({ ipv4, ipv6, forwards }: BuiltinNetdev): string {
  const networks = [ipv4, ipv6].flatMap((one) => (one ? [one.network] : []));
  const inbound = forwards.map(({ protocol, port }) => `${protocol} ${port}`);
  return `QEMU's own network ${networks.join(", ")}  inbound ${list(inbound)}`;
}

function renderAttachment(domain: DomainInterface): string {
  switch (domain.type) {
    case "ethernet":
      return `target ${domain.target.dev}`;
    case "user":
      return domain.netdev.type === "stream"
        ? `stream ${domain.netdev.socket}`
        : renderBuiltin(domain.netdev);
    case "user-backend":
      return `${domain.backend} by libvirt, ${domain.attach}`;
  }
}

function renderHostLink({ name, lower, mac, reaches }: HostLinkPlan): string {
  return `  host    ${name}  macvlan  over ${lower}  mac ${mac}  reaches ${reaches.join("  ")}`;
}

function renderStep(step: Step): string {
  switch (step.op) {
    case "bridge.add":
    case "tap.add":
      return `+ ${step.op.replace(".add", "")} ${step.name}  mtu ${step.mtu}`;
    case "park.add":
      return `+ park ${step.name}  ${step.kind}  mtu ${step.mtu}`;
    case "macvlan.add":
      return `+ ${step.tap ? "macvtap" : "macvlan"} ${step.name}  over ${step.lower}  ${step.mode}  mtu ${step.mtu}`;
    case "link.set":
      return `~ link ${step.name}  ${renderChanges(step.changes)}`;
    case "link.delete":
      return `- link ${step.name}`;
    case "address.add":
      return `+ address ${step.address} on ${step.link}`;
    case "address.delete":
      return `- address ${step.address} on ${step.link}`;
    case "route.add":
    case "route.delete": {
      const { destination, gateway, link } = step.route;
      return `${step.op === "route.add" ? "+" : "-"} route ${destination}${gateway ? ` via ${gateway}` : ""} over ${link}`;
    }
    case "neighbour.add":
      return `+ answer for ${step.ip} with ${step.mac} on ${step.link}`;
    case "neighbour.delete":
      return `- answer for ${step.ip} on ${step.link}`;
    case "fdb.add":
      return `+ ${step.mac} behind ${step.port}`;
    case "fdb.delete":
      return `- ${step.mac} behind ${step.port}`;
    case "redirect.set":
      return `~ ${step.link} ${renderRedirect(step.redirect)}`;
    case "redirect.delete":
      return `- redirect of ${step.link}`;
    case "sysctl.set":
      return `~ sysctl ${step.key} = ${step.value}`;
    case "nft.replace":
      return step.tables.map(({ family, name }) => `~ nft table ${family} ${name}`).join("\n");
    case "nft.delete":
      return step.tables.map(({ family, name }) => `- nft table ${family} ${name}`).join("\n");
  }
}

function renderChanges({ port, ...changes }: LinkChanges): string {
  const words = Object.entries({ ...changes, ...port }).map(([key, value]) => `${key} ${value}`);
  return words.join("  ");
}

function list(values: readonly string[]): string {
  return values.length === 0 ? "none" : values.join(", ");
}
