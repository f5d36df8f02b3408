/** What a guest without an operating system runs: a network boot program of a few bytes. */

/** PXE 2.1, 3.1.1: real mode, loaded at 0:7C00. Prints a text on the first serial port and stops. */
export function bootProgram(text: string): Uint8Array {
  const code = [
    [0xfc], //             cld
    [0x0e, 0x1f], //       push cs; pop ds
    [0xbe, 0x20, 0x7c], // mov si, text
    [0xac], //             next: lodsb
    [0x84, 0xc0], //       test al, al
    [0x74, 0x12], //       jz stop
    [0x88, 0xc4], //       mov ah, al
    [0xba, 0xfd, 0x03], // mov dx, line status
    [0xec], //             wait: in al, dx
    [0xa8, 0x20], //       test al, "takes another byte"
    [0x74, 0xfb], //       jz wait
    [0xba, 0xf8, 0x03], // mov dx, data
    [0x88, 0xe0], //       mov al, ah
    [0xee], //             out dx, al
    [0xeb, 0xe9], //       jmp next
    [0xf4], //             stop: hlt
    [0xeb, 0xfd], //       jmp stop
  ].flat();
  return Uint8Array.from([...code, ...new TextEncoder().encode(text), 0]);
}
