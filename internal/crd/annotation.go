package crd

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/api/v1beta1"
	"github.com/pharoslb/pharos/internal/meant"
	"github.com/pharoslb/pharos/internal/rule"
)

// ownPrefix is what the names of our own annotations begin with.
const ownPrefix = "pharoslb.io/"

// readAnnotations reads what MetalLB has no field for. A name of ours that is not
// known is a mistake: without it the pool would do less than its owner thinks.
func readAnnotations(annotations map[string]string, p *pharos.Pool, f *faults) {
	known := []string{v1beta1.CoolDownAnnotation, v1beta1.QuotaAnnotation, v1beta1.ReservationsAnnotation}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(name, ownPrefix) {
			continue
		}
		field, text := "metadata.annotations["+name+"]", annotations[name]
		switch name {
		case v1beta1.CoolDownAnnotation:
			p.CoolDown = readCoolDown(field, text, f)
		case v1beta1.ReservationsAnnotation:
			p.Reservations = readReservations(field, text, p, f)
		case v1beta1.QuotaAnnotation:
			p.Quota = readQuota(field, text, f)
		default:
			hint := "known are " + strings.Join(known, ", ")
			if m := meant.Word(name, known); m != "" {
				hint = "did you mean " + m + "?"
			}
			f.add(field, hint, "there is no such annotation")
		}
	}
}

func readCoolDown(field, text string, f *faults) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 {
		f.add(field, "such as 10m", "%s is not a duration", rule.Quote(text))
		return 0
	}
	return d
}

// items are what a list separated by commas holds, each of the form name=value.
func items(field, text, form string, f *faults, use func(name, value string)) {
	for _, item := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(item, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			f.add(field, "such as "+form, "%s is not of the form name=value", rule.Quote(strings.TrimSpace(item)))
			continue
		}
		use(name, value)
	}
}

func isName(text string) bool { return len(validation.IsDNS1123Label(text)) == 0 }

func readReservations(field, text string, p *pharos.Pool, f *faults) []pharos.Reservation {
	var out []pharos.Reservation
	taken := map[netip.Addr]pharos.Name{}
	type family struct {
		service pharos.Name
		is4     bool
	}
	has := map[family]netip.Addr{}
	items(field, text, "default/web=192.0.2.7, default/web=2001:db8::7", f, func(name, value string) {
		namespace, service, ok := strings.Cut(name, "/")
		if !ok || !isName(namespace) || !isName(service) {
			f.add(field, "such as default/web", "%s is not namespace/name of a Service", rule.Quote(name))
			return
		}
		a, wrong := rule.Address(value, false)
		if !f.fits(field, wrong) {
			return
		}
		r := pharos.Reservation{Service: pharos.Name{Namespace: namespace, Name: service}, Addr: a}
		kind := family{r.Service, a.Is4()}
		switch other, twice := taken[a]; {
		case !p.Contains(a):
			f.add(field, "", "%s, reserved for %s, is not an address of the pool", a, r.Service)
		case twice:
			f.add(field, "leave one out", "%s is reserved twice, for %s and for %s", a, other, r.Service)
		case has[kind].IsValid():
			f.add(field, "a Service has one address of each family", "%s and %s are both reserved for %s", has[kind], a, r.Service)
		default:
			taken[a], has[kind] = r.Service, a
			out = append(out, r)
		}
	})
	return out
}

func readQuota(field, text string, f *faults) map[string]int {
	out := map[string]int{}
	items(field, text, "shop=5, *=20", f, func(name, value string) {
		n, err := strconv.ParseUint(value, 10, 31)
		_, twice := out[name]
		switch {
		case name != pharos.AnyNamespace && !isName(name):
			f.add(field, "such as shop=5, or *=20 for all others", "%s is not the name of a namespace", rule.Quote(name))
		case err != nil:
			f.add(field, "such as shop=5", "%s is not a number of addresses", rule.Quote(value))
		case twice:
			f.add(field, "leave one out", "%s is given twice", rule.Quote(name))
		default:
			out[name] = int(n)
		}
	})
	return out
}
