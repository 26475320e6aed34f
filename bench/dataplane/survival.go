package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bench/report"
	"github.com/pharoslb/pharos/dataplane/dptest"
)

// survival counts the connections that break when something happens.
func survival(b *testing.B) {
	events := []struct {
		name string
		do   func(f *dptest.Fleet)
	}{
		{"an ingress node is withdrawn", func(f *dptest.Fleet) { f.Withdraw(b, "n1") }},
		{"it comes back", func(f *dptest.Fleet) { f.Restore(b, "n1") }},
		{"a pod more, and a node is withdrawn", func(f *dptest.Fleet) { f.AddPod(b, "n3c"); f.Withdraw(b, "n2") }},
		{"the pod drains, and the node comes back", func(f *dptest.Fleet) { f.DrainPod(b, "n3c"); f.Restore(b, "n2") }},
		{"all drivers are replaced", func(f *dptest.Fleet) {
			for _, m := range f.Members {
				f.Restart(b, m.Name)
			}
		}},
		{"a node loses its power", func(f *dptest.Fleet) { f.PowerOff(b, "n3"); f.Dead(b, "n3") }},
	}
	rows := [][]string{{"connections broken, in total"}}
	for _, e := range events {
		rows = append(rows, []string{e.name})
	}
	for _, w := range ways[1:] {
		f := dptest.NewFleet(b, dptest.FleetOptions{Mode: w.mode}, w.make)
		f.Serve(b, f.Families()[0], pharos.TCP)
		c := f.Connect(b)
		all, pods := 0, c.Pods()
		for _, n := range pods {
			all += n
		}
		rows[0] = append(rows[0], fmt.Sprintf("%s, of %d", w.name, all))
		for i, e := range events {
			e.do(f)
			broken := c.Check()
			cell := fmt.Sprint(broken.All())
			if i == len(events)-1 {
				cell += fmt.Sprintf(" (the node's pods had %d)", pods["n3a"]+pods["n3b"])
			}
			rows[i+1] = append(rows[i+1], cell)
		}
	}
	report.Table(os.Stdout, rows...)
}
