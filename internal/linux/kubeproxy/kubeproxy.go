package kubeproxy

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/google/nftables"
)

// table is what kube-proxy calls its own.
const table = "kube-proxy"

// Ports are where kube-proxy serves its health and its metrics unless it is told
// otherwise.
var Ports = []string{"127.0.0.1:10256", "127.0.0.1:10249"}

// Remove deletes kube-proxy's tables from a network namespace, given by a file
// descriptor (zero: the program's own), unless something listens at its ports
// that dial reaches: then kube-proxy runs, and Remove says so. Where there are
// no such tables it does nothing.
func Remove(ctx context.Context, ns int, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	options := []nftables.ConnOption{}
	if ns != 0 {
		options = append(options, nftables.WithNetNSFd(ns))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	found := false
	for _, t := range tables {
		if t.Name == table && (t.Family == nftables.TableFamilyIPv4 || t.Family == nftables.TableFamilyIPv6) {
			conn.DelTable(t)
			found = true
		}
	}
	if !found {
		return nil
	}
	for _, address := range Ports {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		c, err := dial(ctx, "tcp", address)
		cancel()
		if err == nil {
			c.Close()
			return fmt.Errorf("kube-proxy runs, at %s: take it away, or start with --beside-kube-proxy", address)
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete kube-proxy's tables: %w", err)
	}
	return nil
}
