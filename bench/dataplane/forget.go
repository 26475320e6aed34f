package main

import (
	"github.com/vishvananda/netlink"

	"github.com/pharoslb/pharos/internal/linux/netns"
)

// forget empties a namespace's connection table.
func forget(ns *netns.NS) error {
	return ns.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
}
