package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/pharoslb/pharos/why"
)

// devicesEvery is how often the devices' own settings are looked at: a node has as
// many devices as it has pods, and each is a file to read.
const devicesEvery = 10 * time.Second

// devices is what was found when the devices' own settings were looked at last.
type devices struct {
	at    time.Time
	found why.Reason
}

// checkDevices looks at a setting of each device, where that of all leaves the
// decision to them. What it reports is put right by that of all again, and names
// one device alone: others come and go with pods. The default, which new devices
// start with, goes before them.
func (p *Proxy) checkDevices(s setting, all string) why.Reason {
	if now := time.Now(); p.devices.at.IsZero() || now.Sub(p.devices.at) >= devicesEvery {
		p.devices = devices{now, p.lookAtDevices(s, all)}
	}
	return p.devices.found
}

func (p *Proxy) lookAtDevices(s setting, all string) why.Reason {
	below, key, _ := strings.Cut(s.key, ".all.")
	names, err := p.edge.Kernel.Names(below)
	if err != nil {
		return why.New(why.SysctlWrong, "%s of the devices can't be looked at: %v", key, err)
	}
	slices.Sort(names)
	for _, device := range append([]string{"default"}, names...) {
		if device == "all" || device == "lo" { // nothing comes in by lo from elsewhere
			continue
		}
		// With slashes, as sysctl(8) takes them too: a device's name may have dots.
		own := strings.ReplaceAll(below, ".", "/") + "/" + device + "/" + key
		value, err := p.edge.Kernel.Sysctl(own)
		if err != nil || value == s.want || slices.Contains(s.also, value) {
			continue // gone meanwhile, or right
		}
		return why.New(why.SysctlWrong, "%s is %s, and %s, which is %s, counts as the greater one: %s; correct it with: sysctl -w %s=%s",
			s.key, all, own, value, s.reason, s.key, s.want)
	}
	return why.Reason{}
}
