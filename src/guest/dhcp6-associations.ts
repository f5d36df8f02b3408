/**
 * Identity associations of a DHCPv6 message (RFC 8415, 6.2): which of them gets the one address, and what the others
 * are told. See dhcp6.ts for the whole.
 */
import { sameBytes, u32 } from "../wire/bytes.ts";
import {
  type Dhcp6Option,
  decodeIa,
  decodeIaAddress,
  encodeIa,
  encodeIaAddress,
  encodeOptions6,
  encodeStatus,
  type IaAddress,
  OPT_IA_ADDRESS,
  OPT_IA_NA,
  OPT_IA_PD,
  OPT_IA_TA,
  OPT_STATUS,
  STATUS_NO_ADDRS_AVAIL,
  STATUS_NO_BINDING,
  STATUS_NO_PREFIX_AVAIL,
} from "../wire/dhcp6.ts";
import type { Malformed } from "../wire/malformed.ts";
import type { Refusal } from "./responder.ts";

/** Associations and addresses that are answered; a real client has one or two. Keeps an answer below 1,280 bytes. */
const ASSOCIATIONS_MAX = 8;
const ADDRESSES_MAX = 8;

export interface Associations {
  readonly options: readonly Dhcp6Option[];
  /** One of them holds our address. */
  readonly hasAddress: boolean;
}

export interface AssociationWriter {
  /** SOLICIT and REQUEST. */
  assign(options: readonly Dhcp6Option[]): Associations | Refusal;
  /** RENEW and REBIND. */
  extend(options: readonly Dhcp6Option[]): Associations | Refusal;
  /** CONFIRM: whether all addresses named are ours. */
  confirm(options: readonly Dhcp6Option[]): boolean | Refusal;
  /** RELEASE and DECLINE. */
  end(options: readonly Dhcp6Option[]): Associations | Refusal;
}

interface Association {
  readonly kind: number;
  readonly iaid: number;
  readonly addresses: readonly IaAddress[];
}

/** @param lease 16 bytes */
export function associationWriter(lease: Uint8Array, leaseSeconds: number): AssociationWriter {
  const seconds = Math.min(leaseSeconds, 0xffffffff);
  const isOurs = ({ address }: IaAddress) => sameBytes(address, lease);
  const addressOption = (address: Uint8Array, lifetime: number): Dhcp6Option => ({
    code: OPT_IA_ADDRESS,
    value: encodeIaAddress({ address, preferredSeconds: lifetime, validSeconds: lifetime, options: [] }),
  });
  const chosenOf = (all: readonly Association[]) =>
    all.find((ia) => ia.kind === OPT_IA_NA && ia.addresses.some(isOurs)) ??
    all.find((ia) => ia.kind === OPT_IA_NA);

  function give(options: readonly Dhcp6Option[], renewing: boolean): Associations | Refusal {
    const all = readAssociations(options);
    if (typeof all === "string") return all;
    const chosen = chosenOf(all);
    const answers = all.map((ia) => {
      if (ia !== chosen) return statusAnswer(ia, renewing ? STATUS_NO_BINDING : noneAvailable(ia));
      const gone = renewing ? ia.addresses.filter((address) => !isOurs(address)) : [];
      return association(ia, [
        addressOption(lease, seconds),
        ...gone.map(({ address }) => addressOption(address, 0)),
      ]);
    });
    return { options: answers, hasAddress: chosen !== undefined };
  }

  return {
    assign: (options) => give(options, false),
    extend: (options) => give(options, true),
    confirm(options) {
      const all = readAssociations(options);
      if (typeof all === "string") return all;
      const addresses = all.flatMap((ia) => ia.addresses);
      // Nothing to confirm, nothing to say (18.3.3).
      return addresses.length === 0 ? "missing-option" : addresses.every(isOurs);
    },
    end(options) {
      const all = readAssociations(options);
      if (typeof all === "string") return all;
      const unknown = all.filter((ia) => !ia.addresses.some(isOurs));
      return {
        options: unknown.map((ia) => statusAnswer(ia, STATUS_NO_BINDING)),
        hasAddress: unknown.length < all.length,
      };
    },
  };
}

function readAssociations(options: readonly Dhcp6Option[]): readonly Association[] | Malformed {
  const all: Association[] = [];
  let addresses = ADDRESSES_MAX;
  for (const { code, value } of options) {
    if (all.length === ASSOCIATIONS_MAX) break;
    if (code !== OPT_IA_NA && code !== OPT_IA_TA && code !== OPT_IA_PD) continue;
    const ia = readAssociation(code, value, addresses);
    if (typeof ia === "string") return ia;
    addresses -= ia.addresses.length;
    all.push(ia);
  }
  return all;
}

function readAssociation(kind: number, value: Uint8Array, most: number): Association | Malformed {
  if (kind === OPT_IA_TA) {
    return value.length < 4 ? "truncated" : { kind, iaid: u32(value, 0), addresses: [] };
  }
  const ia = decodeIa(value);
  if (typeof ia === "string") return ia;
  const addresses: IaAddress[] = [];
  for (const option of ia.options) {
    if (option.code !== OPT_IA_ADDRESS || addresses.length === most) continue;
    const address = decodeIaAddress(option.value);
    if (typeof address === "string") return address;
    addresses.push(address);
  }
  return { kind, iaid: ia.iaid, addresses };
}

function noneAvailable(ia: Association): number {
  return ia.kind === OPT_IA_PD ? STATUS_NO_PREFIX_AVAIL : STATUS_NO_ADDRS_AVAIL;
}

function statusAnswer(ia: Association, status: number): Dhcp6Option {
  return association(ia, [{ code: OPT_STATUS, value: encodeStatus(status, "") }]);
}

function association({ kind, iaid }: Association, options: readonly Dhcp6Option[]): Dhcp6Option {
  const whole = encodeIa({ iaid, t1: 0, t2: 0, options });
  if (kind !== OPT_IA_TA) return { code: kind, value: whole };
  const short = new Uint8Array(whole.length - 8);
  short.set(whole.subarray(0, 4));
  short.set(encodeOptions6(options), 4);
  return { code: kind, value: short };
}
