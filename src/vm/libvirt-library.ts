/**
 * libvirt's C functions through koffi: the only module that declares them. Copied from libvirt's headers of 9.0; a
 * wrong signature here is a segmentation fault, so it stays small and says nothing but types.
 *
 * Calls that talk to the daemon are made with `.async`, on a thread of libuv's pool. Callbacks run on Node's main
 * thread: koffi makes the calling thread wait for them, so the main thread must never wait for libvirt itself.
 */
import koffi from "koffi";

/** An address inside libvirt. Freed by nobody but the function that its maker names. */
export type Pointer = bigint;
type Async<A extends readonly unknown[], R> = (...args: A) => Promise<R>;

koffi.struct("virError", { code: "int", domain: "int", message: "char *", level: "int" });
koffi.opaque("virConnect");
koffi.opaque("virDomain");
koffi.proto("void virErrorFunc(void *userData, virError *error)");
koffi.proto("void virEventTimeoutCallback(int timer, void *opaque)");
koffi.proto("void virConnectCloseFunc(virConnect *conn, int reason, void *opaque)");
/** Lifecycle (event, detail) and agent lifecycle (state, reason) events have this same shape. */
koffi.proto(
  "int virDomainEventCallback(virConnect *conn, virDomain *dom, int first, int second, void *opaque)",
);
koffi.proto(
  "void virQemuMonitorEventCallback(virConnect *conn, virDomain *dom, const char *event, long long seconds, unsigned int micros, const char *details, void *opaque)",
);

const library = koffi.load("libvirt.so.0");
const qemuLibrary = koffi.load("libvirt-qemu.so.0");

function call<A extends readonly unknown[], R>(prototype: string, from = library): Async<A, R> {
  const native = from.func(prototype);
  return (...args) =>
    new Promise((resolve, reject) => {
      native.async(...args, (failure: Error | null, result: R) => {
        if (failure === null) resolve(result);
        else reject(failure);
      });
    });
}

function callNow<A extends readonly unknown[], R>(prototype: string): (...args: A) => R {
  return library.func(prototype) as unknown as (...args: A) => R;
}

/** Negative results and nulls are failures; the reason went to the error function before. */
export const virt = {
  initialize: callNow<[], number>("int virInitialize()"),
  setErrorFunc: callNow<[null, Pointer], void>("void virSetErrorFunc(void *userData, virErrorFunc *handler)"),
  eventRegisterDefaultImpl: callNow<[], number>("int virEventRegisterDefaultImpl()"),
  eventRunDefaultImpl: call<[], number>("int virEventRunDefaultImpl()"),
  eventAddTimeout: callNow<[number, Pointer, null, null], number>(
    "int virEventAddTimeout(int timeout, virEventTimeoutCallback *cb, void *opaque, void *ff)",
  ),
  eventUpdateTimeout: callNow<[number, number], void>("void virEventUpdateTimeout(int timer, int timeout)"),

  connectOpen: call<[string], Pointer | null>("virConnect *virConnectOpen(const char *name)"),
  connectClose: call<[Pointer], number>("int virConnectClose(virConnect *conn)"),
  connectRegisterCloseCallback: call<[Pointer, Pointer, null, null], number>(
    "int virConnectRegisterCloseCallback(virConnect *conn, virConnectCloseFunc *cb, void *opaque, void *freecb)",
  ),
  connectUnregisterCloseCallback: call<[Pointer, Pointer], number>(
    "int virConnectUnregisterCloseCallback(virConnect *conn, virConnectCloseFunc *cb)",
  ),
  connectDomainEventRegisterAny: call<[Pointer, null, number, Pointer, null, null], number>(
    "int virConnectDomainEventRegisterAny(virConnect *conn, virDomain *dom, int eventID, virDomainEventCallback *cb, void *opaque, void *freecb)",
  ),

  domainDefineXml: call<[Pointer, string], Pointer | null>(
    "virDomain *virDomainDefineXML(virConnect *conn, const char *xml)",
  ),
  domainLookupByName: call<[Pointer, string], Pointer | null>(
    "virDomain *virDomainLookupByName(virConnect *conn, const char *name)",
  ),
  domainCreateWithFlags: call<[Pointer, number], number>(
    "int virDomainCreateWithFlags(virDomain *domain, unsigned int flags)",
  ),
  domainResume: call<[Pointer], number>("int virDomainResume(virDomain *domain)"),
  domainDestroyFlags: call<[Pointer, number], number>(
    "int virDomainDestroyFlags(virDomain *domain, unsigned int flags)",
  ),
  domainShutdownFlags: call<[Pointer, number], number>(
    "int virDomainShutdownFlags(virDomain *domain, unsigned int flags)",
  ),
  domainGetState: call<[Pointer, Int32Array, Int32Array, number], number>(
    "int virDomainGetState(virDomain *domain, _Out_ int *state, _Out_ int *reason, unsigned int flags)",
  ),
  domainGetXmlDesc: call<[Pointer, number], string | null>(
    "char *! virDomainGetXMLDesc(virDomain *domain, unsigned int flags)",
  ),
  domainFree: callNow<[Pointer], number>("int virDomainFree(virDomain *domain)"),
  domainQemuAgentCommand: call<[Pointer, string, number, number], string | null>(
    "char *! virDomainQemuAgentCommand(virDomain *domain, const char *cmd, int timeout, unsigned int flags)",
    qemuLibrary,
  ),
  /** The answer's address is filled in, and given back by `freeString`. */
  domainQemuMonitorCommand: call<[Pointer, string, [Pointer | null], number], number>(
    "int virDomainQemuMonitorCommand(virDomain *domain, const char *cmd, _Out_ void **result, unsigned int flags)",
    qemuLibrary,
  ),
  connectDomainQemuMonitorEventRegister: call<[Pointer, null, string, Pointer, null, null, number], number>(
    "int virConnectDomainQemuMonitorEventRegister(virConnect *conn, virDomain *dom, const char *event, virQemuMonitorEventCallback *cb, void *opaque, void *freecb, unsigned int flags)",
    qemuLibrary,
  ),
} as const;

export function freeString(address: Pointer | null): void {
  if (address !== null) koffi.free(address);
}

export type ErrorCallback = (code: number, message: string) => void;

/** Registered callbacks are never given back: one set a process, kept for its life. */
export function errorCallback(listener: ErrorCallback): Pointer {
  return koffi.register((_userData: unknown, error: Pointer | null) => {
    if (error === null) return;
    const facts = koffi.decode(error, "virError") as { code: number; message: string | null };
    listener(facts.code, facts.message ?? "no reason given");
  }, "virErrorFunc *");
}

export function timeoutCallback(listener: () => void): Pointer {
  return koffi.register(listener, "virEventTimeoutCallback *");
}

export function closeCallback(listener: (conn: Pointer) => void): Pointer {
  return koffi.register((conn: Pointer) => listener(conn), "virConnectCloseFunc *");
}

export function domainEventCallback(
  listener: (conn: Pointer, first: number, second: number) => void,
): Pointer {
  return koffi.register((conn: Pointer, _domain: Pointer, first: number, second: number) => {
    listener(conn, first, second);
    return 0;
  }, "virDomainEventCallback *");
}

/** @param listener gets the event's name, and its data as QEMU wrote them: JSON */
export function monitorEventCallback(
  listener: (conn: Pointer, event: string, details: string) => void,
): Pointer {
  return koffi.register(
    (conn: Pointer, _domain: Pointer, event: string, _s: number, _us: number, details: string | null) =>
      listener(conn, event, details ?? "{}"),
    "virQemuMonitorEventCallback *",
  );
}
