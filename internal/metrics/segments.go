package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharoslb/pharos/speaker"
	"github.com/pharoslb/pharos/why"
)

// segments are the metrics of layer 2.
type segments struct{ requests, responses, gratuitous, conflicts, fenced *prometheus.Desc }

func newSegments(c *scrape) segments {
	return segments{
		requests:   c.desc("metallb_layer2_requests_received", "ARP requests and neighbor solicitations received for the address.", "ip"),
		responses:  c.desc("metallb_layer2_responses_sent", "ARP replies and neighbor advertisements sent in answer to requests.", "ip"),
		gratuitous: c.desc("metallb_layer2_gratuitous_sent", "Gratuitous ARP packets and unsolicited neighbor advertisements sent.", "ip"),
		conflicts:  c.desc("pharos_layer2_conflicts_total", "Claims of other hosts to addresses of this node that users were told of."),
		fenced:     c.desc("pharos_layer2_fenced", "Whether this node keeps quiet as it hears too few of the speakers."),
	}
}

func (s *segments) emit(emit func(*prometheus.Desc, prometheus.ValueType, float64, ...string), st *speaker.Layer2Status) {
	if st == nil {
		return
	}
	for i := range st.Addresses {
		a := &st.Addresses[i]
		ip := a.Addr.String()
		emit(s.requests, counter, float64(a.Requests), ip)
		emit(s.responses, counter, float64(a.Responses), ip)
		emit(s.gratuitous, counter, float64(a.Gratuitous), ip)
	}
	emit(s.conflicts, counter, float64(st.Conflicts))
	emit(s.fenced, gauge, boolean(st.Reason.Code == why.Fenced))
}
