package dptest

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// initChunk is the packet that begins an SCTP association (RFC 9260, section
// 3.3.2), with its CRC32c, which connection tracking checks.
func initChunk(src, dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = append(b, 0, 0, 0, 0 /* verification tag */, 0, 0, 0, 0 /* checksum */)
	b = append(b, 1, 0, 0, 20 /* INIT, its length */, 0, 0, 0, 7 /* initiate tag */, 0, 1, 0, 0 /* window */, 0, 1, 0, 1 /* streams */, 0, 0, 0, 9)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// RunSCTP checks that SCTP is served like TCP and UDP. Few kernels have sockets of
// it, so that the packet is made by hand and looked at where the pod would get it.
func RunSCTP(t *testing.T, w *World) {
	for _, f := range Families {
		t.Run(f.Name, func(t *testing.T) {
			network := "ip4:132"
			if f.Addrs[Pod1].Is6() {
				network = "ip6:132"
			}
			name := pharos.Name{Namespace: "default", Name: "diameter"}
			planner := dataplane.NewPlanner(dataplane.Options{Node: NodeName})
			state := planner.Plan(&pharos.Snapshot{
				Revision: 1, Synced: true, Nodes: Nodes(),
				Services: pharos.Map[pharos.Name, *pharos.Service]{}.With(name, &pharos.Service{
					Name: name, Type: pharos.ClusterIP, ClusterIPs: []netip.Addr{f.ClusterIP(9)},
					Ports: []pharos.ServicePort{{Protocol: pharos.SCTP, Port: 3868}}}),
				Endpoints: pharos.Map[pharos.Name, *pharos.Endpoints]{}.With(name, &pharos.Endpoints{Backends: []pharos.Backend{{
					Addr: f.Addrs[Pod1], Node: NodeName, Ready: true,
					Ports: []pharos.BackendPort{{Protocol: pharos.SCTP, Port: 4000}}}}}),
			})
			if err := w.Driver().Apply(t.Context(), state); err != nil {
				t.Fatal(err)
			}
			var pod net.PacketConn
			err := w.NS[Pod1].Do(func() (err error) {
				pod, err = net.ListenPacket(network, f.Addrs[Pod1].String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer pod.Close()
			err = w.NS[Pod2].Do(func() error {
				conn, err := net.Dial(network, f.ClusterIP(9).String())
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = conn.Write(initChunk(5000, 3868))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			pod.SetDeadline(time.Now().Add(20 * time.Second))
			b := make([]byte, 256)
			n, from, err := pod.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			if from.String() != f.Addrs[Pod2].String() || n < 4 || binary.BigEndian.Uint16(b[2:]) != 4000 {
				t.Errorf("from %s: % x, want port 4000 as destination", from, b[:n])
			}
		})
	}
}
