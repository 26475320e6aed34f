package bgp

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// peer runs the Machine of one neighbor. Its goroutine owns the machine and the
// connections; everybody else sends to its channels or reads what it published.
//
//	SetPeers ─ poke ─┐                       ┌─▶ Dialer
//	listener ─ offer ┤        ┌─────────┐    ├─▶ conn: reader, writer
//	dial ──── dialed ┼─ run ─▶│ Machine │─▶──┤
//	readers ── inbox ┤        └─────────┘    ├─▶ Handler
//	timer ───────────┘                       └─▶ Status
type peer struct {
	name     string
	opt      Options
	log      *slog.Logger
	template string      // of a dynamic neighbor: its Config.Template
	retire   func(*peer) // of a dynamic neighbor: has the Server forget it
	routes   *adjOut
	tally    tally
	poked    chan struct{}
	commands chan struct{} // there is something in pending
	leave    chan struct{} // closed by quit
	done     chan struct{} // closed when run is over
	accepted chan net.Conn
	dialed   chan dialResult
	inbox    chan batch

	mu      sync.Mutex
	wanted  Config
	pending []command // the latest of each cause
	status  SessionStatus
	over    bool // run takes no connections any more

	restarting bool      // was configured when the Server came to life; changed only before run
	aloneSince time.Time // a dynamic neighbor's

	// Owned by run.
	cfg      Config
	m        *Machine
	conns    map[ConnID]*conn
	lastConn ConnID
	dialing  context.CancelFunc // nil: no attempt is under way
	attempt  int
	current  *message // what Deliver is about
	todo     []Event
	ends     map[wire.Family]time.Time // End-of-RIB received
	// refreshing are the families whose routes the peer is sending once more.
	refreshing map[wire.Family]bool
	wg         sync.WaitGroup
	live       atomic.Int32 // connections with goroutines, those that say goodbye among them
	malf       uint64
	lastMalf   wire.Finding
	malfLogged time.Time
	in         struct{ announced, withdrawn uint64 }
	lastFail   string
	failLogged time.Time
}

// mostConns is how many connections of a peer may be there at a time: one or two
// that are a session's, the others on their way out.
const mostConns = 16

type dialResult struct {
	attempt int
	conn    net.Conn
	err     error
}

func newPeer(c Config, opt Options) *peer {
	p := &peer{
		name: c.Name, opt: opt,
		log:      opt.Log.With("peer", c.Name, "remote", c.who()),
		routes:   newAdjOut(&c, opt.Incomplete),
		poked:    make(chan struct{}, 1),
		commands: make(chan struct{}, 1),
		leave:    make(chan struct{}),
		done:     make(chan struct{}),
		accepted: make(chan net.Conn, 4),
		dialed:   make(chan dialResult),
		inbox:    make(chan batch, 4),
		wanted:   c,
		conns:    make(map[ConnID]*conn),
	}
	p.status = SessionStatus{Name: c.Name}
	p.setStatusConfig(c)
	return p
}

// want sets the configuration that shall be in force.
func (p *peer) want(c Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted.equal(&c) {
		return
	}
	p.wanted = c
	select {
	case p.poked <- struct{}{}:
	default:
	}
}

// command is what somebody outside wants: the session to be closed, and opened anew
// or not.
type command struct {
	cause   Cause
	say     *wire.Notification
	again   bool
	refresh wire.Family // nothing of that, but routes to be asked for
}

// command has run close the session. It never waits; what was asked for already is
// not asked for twice.
func (p *peer) command(c command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = slices.DeleteFunc(p.pending, func(o command) bool { return o.cause == c.cause && o.refresh == c.refresh })
	p.pending = append(p.pending, c)
	select {
	case p.commands <- struct{}{}:
	default:
	}
}

// obey carries out what was asked for.
func (p *peer) obey() {
	p.mu.Lock()
	pending := p.pending
	p.pending = nil
	p.mu.Unlock()
	for _, c := range pending {
		switch {
		case c.refresh != wire.Family{}:
			p.askRefresh(c.refresh)
		case c.cause == CausePathDown:
			p.step(PathDown{})
		default:
			p.step(Stop{c.cause, c.say})
			if c.again {
				p.step(Start{})
			}
		}
	}
}

func (p *peer) config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wanted
}

// quit makes run say goodbye and return.
func (p *peer) quit() { close(p.leave) }

// offer hands over a connection from the peer; one too many at a time is refused.
func (p *peer) offer(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		select {
		case p.accepted <- c:
			return
		default:
		}
	}
	c.Close()
}

// run keeps the session until ctx ends or quit is called.
func (p *peer) run(ctx context.Context) {
	defer close(p.done)
	p.cfg = p.config()
	p.routes.configure(&p.cfg) // it may have changed since newPeer
	p.m = NewMachine(p.cfg, rand.Uint64())
	timer := time.NewTimer(0)
	defer timer.Stop()
	p.step(Start{Restarting: p.restarting && p.cfg.GracefulRestart != nil})
	for {
		p.publish()
		lonely := p.lonely(time.Now())
		if due(lonely, time.Now()) {
			p.retire(p)
			p.end(Stop{CauseDeconfigured, cease(wire.SubCeaseDeconfigured)})
			return
		}
		if d := earliest(p.m.Deadline(), lonely); !d.IsZero() {
			timer.Reset(time.Until(d))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			p.end(Stop{CauseShutdown, cease(wire.SubCeaseShutdown)})
			return
		case <-p.leave:
			p.end(Stop{CauseDeconfigured, cease(wire.SubCeaseDeconfigured)})
			return
		case <-p.poked:
			p.reconfigure()
		case <-p.commands:
			p.obey()
		case c := <-p.accepted:
			p.take(c)
		case r := <-p.dialed:
			p.connected(r)
		case b := <-p.inbox:
			p.receive(b)
		case <-timer.C:
			p.drain() // what came in time goes before what it was waited for
			p.step(Tick{})
		}
	}
}

// end stops the machine and waits for the goodbyes.
func (p *peer) end(e Stop) {
	p.step(e)
	p.wg.Wait()
	p.mu.Lock()
	p.over = true // so that nobody offers what nobody would take
	p.mu.Unlock()
	for {
		select {
		case c := <-p.accepted:
			c.Close()
		default:
			p.publish()
			return
		}
	}
}

// drain takes in what readers have ready.
func (p *peer) drain() {
	for range cap(p.inbox) {
		select {
		case b := <-p.inbox:
			p.receive(b)
		default:
			return
		}
	}
}

// reconfigure closes the session and begins a new one, if the configuration
// changed.
func (p *peer) reconfigure() {
	c := p.config()
	if c.equal(&p.cfg) {
		return
	}
	p.routes.configure(&c)
	if c.sameSession(&p.cfg) && p.rekey(&c) {
		p.cfg = c
		p.m.configure(c)
		return
	}
	stop := Stop{CauseConfigChange, cease(wire.SubCeaseConfigChange)}
	switch {
	case !c.sameNeighbor(&p.cfg):
		stop = Stop{CauseDeconfigured, cease(wire.SubCeaseDeconfigured)}
	case c.Shutdown:
		stop = Stop{CauseAdminShutdown, farewell(wire.SubCeaseShutdown, c.ShutdownText)}
	}
	p.step(stop)
	before, restarting := p.m, p.m.restarting && c.GracefulRestart != nil
	p.cfg = c
	p.log = p.opt.Log.With("peer", c.Name, "remote", c.who())
	p.m = NewMachine(c, rand.Uint64())
	p.m.inherit(before)
	p.step(Start{Restarting: restarting})
}

// step takes an event to the machine and does what it says, then what follows
// from that.
func (p *peer) step(e Event) {
	p.todo = append(p.todo, e)
	for len(p.todo) > 0 {
		e := p.todo[0]
		p.todo = p.todo[1:]
		for _, f := range p.m.Step(time.Now(), e) {
			p.do(f)
		}
	}
}

func (p *peer) do(f Effect) {
	switch f := f.(type) {
	case Dial:
		p.dial()
	case CancelDial:
		p.cancelDial()
	case SendOpen:
		if c := p.conns[f.Conn]; c != nil {
			if err := c.sendOpen(f.Open); err != nil {
				p.todo = append(p.todo, Closed{f.Conn, err})
			}
		}
	case SendKeepalive:
		if c := p.conns[f.Conn]; c != nil {
			c.sendKeepalive()
		}
	case Close:
		if c := p.conns[f.Conn]; c != nil {
			c.finish(f.Notification)
			delete(p.conns, f.Conn)
		}
	case Up:
		p.up(f)
	case Deliver:
		p.deliver()
	case Ended:
		p.routes.detach()
		p.log.Log(context.Background(), f.Down.Cause.level(), "bgp session ended", "cause", f.Down.Cause.String(), "reason", f.Down.String())
		p.opt.Handler.Closed(p.name, f.Down)
	case Abandoned:
		p.log.Warn("bgp peer is not waited for any more", "cause", CausePathDown.String())
		p.opt.Handler.Abandoned(p.name)
	case Failed:
		p.failed(f.Down)
	case Probe:
		p.todo = append(p.todo, Alive{f.Conn, p.alive(f.Conn, f.Within)})
	}
}

func (p *peer) up(f Up) {
	c := p.conns[f.Conn]
	p.in.announced, p.in.withdrawn = 0, 0
	p.ends, p.refreshing = make(map[wire.Family]time.Time), make(map[wire.Family]bool)
	p.lastFail = ""
	p.publish() // first, so that nobody who has our routes can find the session not up
	c.attach(p.m.Info().HoldTime)
	p.routes.attach(newOutbound(&p.cfg, f.Session, c.local.Addr()), c)
	p.log.Info("bgp session established", "local", c.local, "port", c.remote.Port())
	p.opt.Handler.Established(p.name, p.Status())
}

// failed logs why an attempt came to nothing, once for attempts that fail alike, and
// seldom for a peer that thinks of many ways.
func (p *peer) failed(d Down) {
	level := slog.LevelDebug
	if s, now := d.String(), time.Now(); s != p.lastFail && now.Sub(p.failLogged) >= logEvery {
		p.lastFail, p.failLogged, level = s, now, d.Cause.level()
	}
	p.log.Log(context.Background(), level, "bgp session not established", "cause", d.Cause.String(), "reason", d.String())
}

// level is how loud the log is about an end: what was asked for is no warning.
func (c Cause) level() slog.Level {
	switch c {
	case CauseShutdown, CauseAdminShutdown, CauseDeconfigured, CauseConfigChange, CauseReset, CauseRefused:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// alive says if the peer's TCP acknowledged anything within d. Where that cannot
// be told the connection is taken to be alive, as RFC 4271 §6.8 has it.
func (p *peer) alive(id ConnID, d time.Duration) bool {
	c := p.conns[id]
	if c == nil {
		return false
	}
	a, ok := c.nc.(acker)
	if !ok {
		return true
	}
	since, err := a.SinceAck()
	return err != nil || since < d
}

// dial starts an attempt to connect.
func (p *peer) dial() {
	ctx, cancel := context.WithCancel(context.Background())
	p.dialing = cancel
	p.attempt++
	attempt, cfg := p.attempt, p.cfg
	p.wg.Go(func() {
		r := dialResult{attempt: attempt}
		r.conn, r.err = p.opt.Dialer.Dial(ctx, cfg)
		select {
		case p.dialed <- r:
		case <-ctx.Done():
			if r.conn != nil {
				r.conn.Close()
			}
		}
	})
}

func (p *peer) cancelDial() {
	if p.dialing != nil {
		p.dialing()
		p.dialing = nil
	}
}

// connected takes the outcome of an attempt; one that was given up is not told of.
func (p *peer) connected(r dialResult) {
	if p.dialing == nil || r.attempt != p.attempt {
		if r.conn != nil {
			r.conn.Close()
		}
		return
	}
	p.cancelDial()
	if r.err != nil {
		p.step(ConnectFailed{r.err})
		return
	}
	p.step(Connected{p.adopt(r.conn)})
}

// take lets a connection of the peer in, unless too many before it are still being
// closed: a goodbye takes up to two seconds, and a peer can open thousands meanwhile.
func (p *peer) take(c net.Conn) {
	p.aloneSince = time.Time{}
	if p.live.Load() >= mostConns {
		c.Close()
		return
	}
	p.step(Accepted{p.adopt(c)})
}

// adopt gives a connection its number and starts to read.
func (p *peer) adopt(nc net.Conn) ConnID {
	p.lastConn++
	c := newConn(p.lastConn, nc, &p.cfg, &p.tally, p.routes, p.inbox)
	p.conns[c.id] = c
	c.start(&p.wg, &p.live)
	return c.id
}
