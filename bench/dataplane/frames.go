package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// The answers of an XDP program, and the flag that has test runs make frames.
const (
	xdpAborted = 0
	xdpDrop    = 1
	xdpPass    = 2
	liveFrames = 1 << 1
)

// frame is a UDP packet of 60 bytes and more headers than data.
type frame struct {
	to       [6]byte // Ethernet address of the node's device
	from     [6]byte
	src, dst netip.AddrPort
	fresh    bool // each packet has another client, so that each begins a connection
}

// bytes returns the frame, whose UDP checksum is left out (RFC 768).
func (f frame) bytes() []byte {
	b := append(append([]byte{}, f.to[:]...), f.from[:]...)
	b = append(b, 8, 0, 0x45, 0, 0, 46, 0, 1, 0x40, 0, 64, 17, 0, 0)
	b = append(append(b, f.src.Addr().AsSlice()...), f.dst.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, f.src.Port())
	b = binary.BigEndian.AppendUint16(b, f.dst.Port())
	b = append(b, 0, 26, 0, 0)
	binary.LittleEndian.PutUint16(b[24:], ^fold(sum(b[14:34])))
	return append(b, make([]byte, 60-len(b))...)
}

// sum is of the words of a header, as this machine has them: the checksum comes out the same.
func sum(b []byte) (s uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.LittleEndian.Uint16(b[i:]))
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// source is a program that makes every frame it is given the same packet, whatever was
// made of it before: the kernel uses its pages again.
func source(f frame) (*ebpf.Program, error) {
	b := f.bytes()
	const headers = 42
	code := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R6), asm.Add.Imm(asm.R4, headers),
		asm.JGT.Reg(asm.R4, asm.R3, "short"),
	}
	for at := 0; at < headers-2; at += 4 {
		code = append(code, asm.StoreImm(asm.R6, int16(at), int64(binary.LittleEndian.Uint32(b[at:])), asm.Word))
	}
	code = append(code, asm.StoreImm(asm.R6, headers-2, int64(binary.LittleEndian.Uint16(b[headers-2:])), asm.Half))
	if f.fresh {
		header := append([]byte{}, b[14:34]...)
		clear(header[10:12]) // the checksum
		clear(header[14:16]) // the second half of the source
		code = append(code,
			asm.FnGetPrandomU32.Call(),
			asm.Mov.Reg(asm.R7, asm.R0), asm.And.Imm(asm.R7, 0xffff),
			asm.Or.Imm(asm.R7, 4), // no port zero
			asm.StoreMem(asm.R6, 34, asm.R7, asm.Half),
			asm.RSh.Imm(asm.R0, 16), asm.And.Imm(asm.R0, 0xffff),
			asm.StoreMem(asm.R6, 28, asm.R0, asm.Half),
			asm.Add.Imm(asm.R0, int32(sum(header))),
			asm.Mov.Reg(asm.R7, asm.R0), asm.RSh.Imm(asm.R7, 16), asm.And.Imm(asm.R0, 0xffff), asm.Add.Reg(asm.R0, asm.R7),
			asm.Mov.Reg(asm.R7, asm.R0), asm.RSh.Imm(asm.R7, 16), asm.And.Imm(asm.R0, 0xffff), asm.Add.Reg(asm.R0, asm.R7),
			asm.Xor.Imm(asm.R0, 0xffff),
			asm.StoreMem(asm.R6, 24, asm.R0, asm.Half),
		)
	}
	code = append(code, asm.Mov.Imm(asm.R0, xdpPass), asm.Return(), asm.Mov.Imm(asm.R0, xdpAborted).WithSymbol("short"), asm.Return())
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: "source", Type: ebpf.XDP, License: "GPL", Instructions: code})
}

// sink counts and drops the UDP packets that come in by a device.
type sink struct {
	counter *ebpf.Map
	program *ebpf.Program
	link    link.Link
}

func newSink(ns *netns.NS, device string) (*sink, error) {
	s := &sink{}
	var err error
	if s.counter, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return nil, err
	}
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 34),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 12, asm.Half),
		asm.JNE.Imm(asm.R4, 8, "pass"), // IPv4, as a little-endian machine reads it
		asm.LoadMem(asm.R4, asm.R2, 23, asm.Byte),
		asm.JNE.Imm(asm.R4, 17, "pass"), // UDP
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, s.counter.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"), asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"), asm.Return(),
	}
	if s.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "sink", Type: ebpf.XDP, License: "GPL", Instructions: code}); err != nil {
		return nil, err
	}
	l, err := ns.Link().LinkByName(device)
	if err != nil {
		return nil, err
	}
	err = ns.Do(func() (err error) {
		s.link, err = link.AttachXDP(link.XDPOptions{Program: s.program, Interface: l.Attrs().Index, Flags: link.XDPDriverMode})
		return err
	})
	return s, err
}

func (s *sink) count() (n uint64, err error) {
	err = s.counter.Lookup(uint32(0), &n)
	return n, err
}

func (s *sink) close() {
	s.link.Close()
	s.program.Close()
	s.counter.Close()
}

// send has a device take in n frames, and returns the time that each took until it was dropped
// at the sink.
func send(ns *netns.NS, device string, f frame, to *sink, n int) (time.Duration, error) {
	p, err := source(f)
	if err != nil {
		return 0, fmt.Errorf("load the source: %w", err)
	}
	defer p.Close()
	l, err := ns.Link().LinkByName(device)
	if err != nil {
		return 0, err
	}
	before, err := to.count()
	if err != nil {
		return 0, err
	}
	data := f.bytes()
	var took time.Duration
	err = ns.Do(func() error {
		md := struct{ Data, End, Meta, Device, Queue, Out uint32 }{End: uint32(len(data)), Device: uint32(l.Attrs().Index)}
		begin := time.Now()
		_, err := p.Run(&ebpf.RunOptions{Data: data, Context: md, Repeat: uint32(n), Flags: liveFrames})
		took = time.Since(begin)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("make frames: %w", err)
	}
	after, err := to.count()
	if got := after - before; err == nil && got < uint64(n)*98/100 {
		err = fmt.Errorf("of %d packets %d arrived", n, got)
	}
	return took / time.Duration(n), errors.Join(err)
}
