/* SPDX-License-Identifier: MIT */
/* setjmp and longjmp of all guests: int save_point(struct point *), go_back(struct point *, int). */
    .text
    .globl save_point, go_back
#ifdef __x86_64__
save_point: /* rbx, rbp, r12..r15, rsp, rip */
    movq (%rsp), %rax
    leaq 8(%rsp), %rdx
    movq %rbx, (%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    movq %rdx, 48(%rdi)
    movq %rax, 56(%rdi)
    xorl %eax, %eax
    ret

go_back:
    movl %esi, %eax
    movq (%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    movq 48(%rdi), %rsp
    jmp *56(%rdi)
#else
save_point: /* ebx, esi, edi, ebp, esp, eip */
    movl 4(%esp), %edx
    movl (%esp), %eax
    leal 4(%esp), %ecx
    movl %ebx, (%edx)
    movl %esi, 4(%edx)
    movl %edi, 8(%edx)
    movl %ebp, 12(%edx)
    movl %ecx, 16(%edx)
    movl %eax, 20(%edx)
    xorl %eax, %eax
    ret

go_back:
    movl 4(%esp), %edx
    movl 8(%esp), %eax
    movl (%edx), %ebx
    movl 4(%edx), %esi
    movl 8(%edx), %edi
    movl 12(%edx), %ebp
    movl 16(%edx), %esp
    jmp *20(%edx)
#endif
    .section .note.GNU-stack, "", @progbits
