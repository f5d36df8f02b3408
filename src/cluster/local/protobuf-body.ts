/**
 * Bodies in Kubernetes' protobuf: kubectl sends the built-in kinds that it makes itself so (`kubectl create
 * configmap`, `secret`, `namespace`), whatever the server says it accepts. Read only, and only those kinds;
 * answers are always JSON.
 *
 * The envelope is `k8s\0` and a `runtime.Unknown` (apimachinery/pkg/runtime/generated.proto), inside it the
 * message of `core/v1` by the field numbers below. Unknown fields are skipped, as protobuf has it.
 */
import { badRequest, unsupportedMediaType } from "../api-error.ts";

export const PROTOBUF = "application/vnd.kubernetes.protobuf";
const MAGIC = [0x6b, 0x38, 0x73, 0x00];

/** An `int` of 0 is one that was not set; of a pointer to one, 0 is said on purpose. */
type Type = "string" | "bytes" | "int" | "intPointer" | "bool" | "intOrString" | Message;
interface Field {
  readonly name: string;
  readonly type: Type;
  readonly form?: "list" | "map";
}
/** By field number. */
interface Message {
  readonly [field: number]: Field;
}

const OBJECT_META: Message = {
  1: { name: "name", type: "string" },
  2: { name: "generateName", type: "string" },
  3: { name: "namespace", type: "string" },
  5: { name: "uid", type: "string" },
  6: { name: "resourceVersion", type: "string" },
  11: { name: "labels", type: "string", form: "map" },
  12: { name: "annotations", type: "string", form: "map" },
  14: { name: "finalizers", type: "string", form: "list" },
};
const METADATA: Field = { name: "metadata", type: OBJECT_META };
const KINDS: Readonly<Record<string, Message>> = {
  "v1/Namespace": { 1: METADATA },
  "v1/ConfigMap": {
    1: METADATA,
    2: { name: "data", type: "string", form: "map" },
    3: { name: "binaryData", type: "bytes", form: "map" },
    4: { name: "immutable", type: "bool" },
  },
  "v1/Secret": {
    1: METADATA,
    2: { name: "data", type: "bytes", form: "map" },
    3: { name: "type", type: "string" },
    4: { name: "stringData", type: "string", form: "map" },
    5: { name: "immutable", type: "bool" },
  },
  "v1/Service": {
    1: METADATA,
    2: {
      name: "spec",
      type: {
        1: {
          name: "ports",
          form: "list",
          type: {
            1: { name: "name", type: "string" },
            2: { name: "protocol", type: "string" },
            3: { name: "port", type: "int" },
            4: { name: "targetPort", type: "intOrString" },
            5: { name: "nodePort", type: "int" },
          },
        },
        2: { name: "selector", type: "string", form: "map" },
        3: { name: "clusterIP", type: "string" },
        4: { name: "type", type: "string" },
        5: { name: "externalIPs", type: "string", form: "list" },
        7: { name: "sessionAffinity", type: "string" },
        8: { name: "loadBalancerIP", type: "string" },
        10: { name: "externalName", type: "string" },
        17: { name: "ipFamilyPolicy", type: "string" },
        18: { name: "clusterIPs", type: "string", form: "list" },
        19: { name: "ipFamilies", type: "string", form: "list" },
      },
    },
  },
};
const TYPE_META: Message = { 1: { name: "apiVersion", type: "string" }, 2: { name: "kind", type: "string" } };
const UNKNOWN: Message = { 1: { name: "typeMeta", type: TYPE_META }, 2: { name: "raw", type: "bytes" } };
/** `metav1.DeleteOptions`. */
const DELETE_OPTIONS: Message = {
  1: { name: "gracePeriodSeconds", type: "intPointer" },
  2: {
    name: "preconditions",
    type: { 1: { name: "uid", type: "string" }, 2: { name: "resourceVersion", type: "string" } },
  },
  4: { name: "propagationPolicy", type: "string" },
  5: { name: "dryRun", type: "string", form: "list" },
};

/** The object as its JSON would have been. */
export function decodeKubeProtobuf(body: Uint8Array): object {
  if (!MAGIC.every((byte, i) => body[i] === byte)) throw broken();
  const { typeMeta, raw } = decodeMessage(body.subarray(MAGIC.length), UNKNOWN) as {
    readonly typeMeta?: { readonly apiVersion?: string; readonly kind?: string };
    readonly raw?: string;
  };
  const { apiVersion = "", kind = "" } = typeMeta ?? {};
  const name = `${apiVersion}/${kind}`;
  const message =
    kind === "DeleteOptions" ? DELETE_OPTIONS : Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (message === undefined) throw unsupportedMediaType(`${PROTOBUF} of ${name}`, ["application/json"]);
  return { apiVersion, kind, ...decodeMessage(Buffer.from(raw ?? "", "base64"), message) };
}

interface Raw {
  readonly number: number;
  /** Varints as numbers, everything of a length as bytes. */
  readonly value: number | Uint8Array;
}

function decodeMessage(bytes: Uint8Array, message: Message): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const raw of fieldsOf(bytes)) {
    const field = message[raw.number];
    if (field === undefined) continue;
    if (field.form === "list") {
      result[field.name] = [
        ...((result[field.name] as unknown[] | undefined) ?? []),
        decodeValue(raw, field.type),
      ];
    } else if (field.form === "map") addPair(result, field, raw);
    else result[field.name] = decodeValue(raw, field.type);
  }
  // Go writes strings that are not set as empty ones; `omitempty` of the JSON form leaves them out.
  return Object.fromEntries(
    Object.entries(result).filter(([, value]) => value !== "" && value !== undefined),
  );
}

function addPair(result: Record<string, unknown>, field: Field, raw: Raw): void {
  const pair = new Map(fieldsOf(bytesOf(raw)).map((it) => [it.number, it]));
  const [first, second] = [pair.get(1), pair.get(2)];
  const key = first === undefined ? "" : String(decodeValue(first, "string"));
  if (key === "__proto__") throw badRequest("__proto__ is not a key");
  const value = second === undefined ? "" : decodeValue(second, field.type);
  result[field.name] = { ...((result[field.name] as object | undefined) ?? {}), [key]: value };
}

function decodeValue(raw: Raw, type: Type): unknown {
  if (type === "int" || type === "intPointer" || type === "bool") {
    if (typeof raw.value !== "number") throw broken();
    if (type === "bool") return raw.value !== 0;
    return raw.value === 0 && type === "int" ? undefined : raw.value;
  }
  const bytes = bytesOf(raw);
  if (type === "string") return new TextDecoder().decode(bytes);
  if (type === "bytes") return Buffer.from(bytes).toString("base64");
  if (type !== "intOrString") return decodeMessage(bytes, type);
  const parts = new Map(fieldsOf(bytes).map((it) => [it.number, it.value]));
  const text = parts.get(3);
  if (parts.get(1) === 1 && text instanceof Uint8Array) return new TextDecoder().decode(text);
  // kubectl leaves a target port out by sending 0.
  return parts.get(2) === 0 ? undefined : parts.get(2);
}

function bytesOf({ value }: Raw): Uint8Array {
  if (typeof value === "number") throw broken();
  return value;
}

function fieldsOf(bytes: Uint8Array): readonly Raw[] {
  const fields: Raw[] = [];
  const at = { offset: 0 };
  while (at.offset < bytes.length) {
    const tag = varint(bytes, at);
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) fields.push({ number, value: varint(bytes, at) });
    else {
      const length = wire === 2 ? varint(bytes, at) : wire === 5 ? 4 : wire === 1 ? 8 : Number.NaN;
      const end = at.offset + length;
      if (!(end <= bytes.length)) throw broken();
      fields.push({ number, value: bytes.subarray(at.offset, end) });
      at.offset = end;
    }
  }
  return fields;
}

function varint(bytes: Uint8Array, at: { offset: number }): number {
  let value = 0;
  // Above 2^53 nothing here is exact, nor meant: ports, lengths and seconds.
  for (let scale = 1; scale < 2 ** 63; scale *= 128) {
    const byte = bytes[at.offset++];
    if (byte === undefined) throw broken();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw broken();
}

function broken(): Error {
  return badRequest("the body of the request is not Kubernetes protobuf");
}
