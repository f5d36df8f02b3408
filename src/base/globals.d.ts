/**
 * The web-standard globals that pure code may use. Everything else (Node, Date.now, console) is a compile
 * error above the purity line, because tsconfig.pure.json loads no ambient types.
 */
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes: Uint8Array): string;
}
declare function structuredClone<T>(value: T): T;
