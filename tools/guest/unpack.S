/*
 * The protected-mode half of a bzImage that unpacks LZ4 instead of xz: under TCG the disk boots 3 s sooner.
 *
 * Theory of operation. Debian's bzImage is two things: real-mode setup code, which asks the BIOS for the memory
 * map and enters protected mode, and behind it a decompressor with the kernel as xz. make-bzimage.sh keeps the
 * first and puts this in place of the second. The setup code jumps here (0x100000, flat 32-bit segments, esi =
 * boot_params, interrupts off; Documentation/arch/x86/boot.rst, "32-bit Boot Protocol"). What follows:
 *
 *   1. copy the packed kernel above where the unpacked one will lie
 *   2. unpack it to the address it is linked for (lz4 legacy frame: u32 length, block, u32 length, block …)
 *   3. enter long mode on page tables that map the first 4 GiB one to one
 *   4. jump to startup_64 with rsi = boot_params ("64-bit Boot Protocol")
 *
 * No relocation, so no KASLR. PACKED, UNPACKED and KERNEL (all in bytes) are given to the linker.
 */
        .code32
        .text
        .globl _start
_start:
        cli
        cld
        movl    %esi, boot_params
        movl    $stack_top, %esp

        movl    $payload, %esi
        movl    $high, %edi
        movl    $packed_words, %ecx
        rep movsl

        movl    $high + 4, %esi                 /* behind the frame's magic */
        movl    $KERNEL, %edi
next_block:
        cmpl    $high_end, %esi
        jae     unpacked
        lodsl
        leal    (%esi, %eax), %ebx              /* end of this block */
        call    unpack_block
        jmp     next_block

unpacked:
        movl    $page_map, %eax
        movl    %eax, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax                     /* PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx               /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        lgdt    gdt_pointer
        movl    %cr0, %eax
        orl     $0x80000001, %eax               /* paging, protection */
        movl    %eax, %cr0
        movl    boot_params, %esi
        ljmp    $0x10, $long_mode

/* An LZ4 block from esi to ebx, to edi. Words where source and target do not touch within a word. */
unpack_block:
        cmpl    %ebx, %esi
        jae     9f
        xorl    %eax, %eax
        lodsb
        movl    %eax, %edx
        movl    %eax, %ecx
        shrl    $4, %ecx
        call    long_length
        movl    %ecx, %eax
        shrl    $2, %ecx
        rep movsl
        movl    %eax, %ecx
        andl    $3, %ecx
        rep movsb
        cmpl    %ebx, %esi                      /* the last sequence has no match */
        jae     9f
        xorl    %eax, %eax
        lodsw
        pushl   %eax
        movl    %edx, %ecx
        andl    $15, %ecx
        call    long_length
        addl    $4, %ecx
        popl    %eax
        pushl   %esi
        movl    %edi, %esi
        subl    %eax, %esi
        cmpl    $4, %eax
        jb      1f
        movl    %ecx, %eax
        shrl    $2, %ecx
        rep movsl
        movl    %eax, %ecx
        andl    $3, %ecx
1:      rep movsb
        popl    %esi
        jmp     unpack_block
9:      ret

/* ecx is a length; 15 means that bytes follow which add to it, up to one that is not 255. */
long_length:
        cmpl    $15, %ecx
        jne     9f
        xorl    %eax, %eax
1:      lodsb
        addl    %eax, %ecx
        cmpb    $255, %al
        je      1b
9:      ret

        .code64
long_mode:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %esi, %esi                      /* upper halves are undefined after the switch */
        movl    $KERNEL, %eax
        jmp     *%rax

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00af9b000000ffff              /* 0x10: 64-bit code */
        .quad   0x00cf93000000ffff              /* 0x18: data */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

/* What is written to shares no page with code: QEMU would translate the code anew at every push. */
        .balign 4096
boot_params:
        .long   0
        .space  64
stack_top:

        .balign 4096
page_map:
        .long   page_directories + 3, 0
        .fill   511, 8, 0
page_directories:
        .long   pages + 0x0003, 0, pages + 0x1003, 0, pages + 0x2003, 0, pages + 0x3003, 0
        .fill   508, 8, 0
pages:
        .set    frame, 0
        .rept   2048
        .long   frame + 0x83, 0                    /* present, writable, 2 MiB */
        .set    frame, frame + 0x200000
        .endr
payload:
        .set    high, KERNEL + ((UNPACKED + 0xffff) & ~0xfff)
        .set    high_end, high + PACKED
        .set    packed_words, (PACKED + 3) / 4
