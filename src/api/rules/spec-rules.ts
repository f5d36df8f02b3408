/** Every admission rule about a VMI spec, in two groups: each is left out where its lists could not be read. */

import { CLAIM_RULES } from "./claims.ts";
import { CLOUD_INIT_RULES } from "./cloud-init.ts";
import { COMPUTE_RULES } from "./compute.ts";
import { DHCP_RULES } from "./dhcp.ts";
import { DISK_RULES } from "./disks.ts";
import { DNS_RULES } from "./dns.ts";
import { EARLY_NIC_RULES } from "./early-nic.ts";
import { INTERFACE_RULES } from "./interfaces.ts";
import { FIRMWARE_RULES } from "./kernel-boot.ts";
import { NETWORK_RULES } from "./networks.ts";
import { PORT_RULES } from "./ports.ts";
import { PRIVATE_NETWORK_RULES } from "./private-network.ts";
import { PROBE_RULES } from "./probes.ts";
import type { SpecRule } from "./spec-context.ts";
import { METADATA_RULES } from "./template-metadata.ts";
import { VOLUME_RULES } from "./volumes.ts";

export const NIC_RULES: readonly SpecRule[] = [
  ...NETWORK_RULES,
  ...INTERFACE_RULES,
  ...PORT_RULES,
  ...DHCP_RULES,
  ...PRIVATE_NETWORK_RULES,
  ...EARLY_NIC_RULES,
  ...PROBE_RULES,
  ...CLAIM_RULES,
];
export const STORAGE_RULES: readonly SpecRule[] = [...DISK_RULES, ...VOLUME_RULES, ...CLOUD_INIT_RULES];
export const OTHER_RULES: readonly SpecRule[] = [
  ...METADATA_RULES,
  ...DNS_RULES,
  ...COMPUTE_RULES,
  ...FIRMWARE_RULES,
];
