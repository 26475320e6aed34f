package ebpf

// The programs are built by "make generate-ebpf", which needs clang and llvm, and
// committed, so that nothing else does. BPF_CFLAGS says where asm/types.h is.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package ebpf -output-suffix "" -target bpfel -type target -type owner -type further -type frontend -type source -type leg -type node -type mac -type tuning -type flow_key -type flow -type meter direct bpf/direct.c -- -O2 -g -Wall -Werror -mcpu=v3 $BPF_CFLAGS
