package speaker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// inTown tells a story of so many nodes.
func inTown(t *testing.T, nodes int, opt Options, story func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, nodes, opt)
		defer w.end()
		story(t, w)
	})
}

// shops makes Services s1, s2, … with addresses 192.0.2.1, …, served everywhere.
func (w *town) shops(n int) (addrs []string) {
	for i := range n {
		a := fmt.Sprintf("192.0.2.%d", i+1)
		addrs = append(addrs, a)
		w.put(service(fmt.Sprint("s", i+1), a), backends("n1", "n2", "n3"))
	}
	return addrs
}

// owners returns who answers for each address.
func (w *town) owners(addrs []string) map[string]string {
	m := map[string]string{}
	for _, a := range addrs {
		m[a] = w.answered(a)
	}
	return m
}

func elected(a string, nodes ...string) string {
	var list []election.Candidate
	for _, n := range nodes {
		list = append(list, election.Candidate{Node: n})
	}
	return election.Elect(addr(a), list, "")
}

func TestOneNodeAnswersAndItsDeathMovesItsAddressesAlone(t *testing.T) {
	inTown(t, 3, Options{FenceAfter: 5 * time.Second}, func(t *testing.T, w *town) {
		all := w.shops(30)
		w.start()
		was := w.owners(all)
		for a, owner := range was {
			if want := elected(a, "n1", "n2", "n3"); owner != want {
				t.Errorf("%s is answered for by %q, want %s", a, owner, want)
			}
		}
		w.die("n2")
		for a, owner := range w.owners(all) {
			if want := elected(a, "n1", "n3"); owner != want || was[a] != "n2" && owner != was[a] {
				t.Errorf("%s moved from %s to %q, want %s", a, was[a], owner, want)
			}
		}
	})
}

// All addresses of a Service are where its first one is.
func TestBothFamiliesOfAServiceHaveOneOwner(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		for i := range 20 {
			w.put(service(fmt.Sprint("s", i), fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("2001:db8::%x", i+1)), backends("n1"))
		}
		w.start()
		for i := range 20 {
			a, b := fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("2001:db8::%x", i+1)
			if want := elected(a, "n1", "n2", "n3"); w.answered(a) != want || w.answered(b) != want {
				t.Errorf("%s is with %q, %s with %q, want %s", a, w.answered(a), b, w.answered(b), want)
			}
		}
	})
}

// While nodes hear of a change one after the other, somebody answers all the time.
func TestPlannedMoveLeavesNoGap(t *testing.T) {
	exclude := func(w *town, name string) {
		was, _ := w.world.Nodes.Get(name)
		n := *was
		n.Labels = map[string]string{pharos.ExcludeLabel: ""}
		w.world.Nodes = w.world.Nodes.With(name, &n)
	}
	for _, r := range []struct {
		name string
		move func(w *town, owner, next string)
	}{
		{"the owner hears of it first", func(w *town, owner, next string) {
			exclude(w, owner)
			w.tell(owner)
			pass(time.Second)
			w.tell()
		}},
		{"the others hear of it first", func(w *town, owner, next string) {
			exclude(w, owner)
			w.tell(next)
			pass(time.Second)
			w.tell()
		}},
		{"the owner's speaker ends", func(w *town, owner, next string) {
			w.homes[owner].cancel()
			<-w.homes[owner].done
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			inTown(t, 3, Options{}, func(t *testing.T, w *town) {
				all := w.shops(20)
				w.start()
				w.watch(all...)
				owner := w.answered(all[0])
				r.move(w, owner, elected(all[0], strings.Fields(w.others(owner))...))
				synctest.Wait()
				for a, now := range w.owners(all) {
					if want := elected(a, strings.Fields(w.others(owner))...); now != want {
						t.Errorf("%s is answered for by %q, want %s", a, now, want)
					}
				}
				if len(w.silent) > 0 {
					t.Errorf("for a moment nobody answered for %v", slices.Collect(maps.Keys(w.silent)))
				}
				if lines := strings.Join(append(w.homes["n1"].notes.take(), w.homes["n2"].notes.take()...), "\n"); strings.Contains(lines, why.AddressConflict.String()) {
					t.Errorf("a move was taken for a conflict:\n%s", lines)
				}
			})
		})
	}
}

// Who hands over does not wait for ever, nor for what nobody takes.
func TestHandOverIsBounded(t *testing.T) {
	inTown(t, 2, Options{}, func(t *testing.T, w *town) {
		local := service("local", "192.0.2.1")
		local.ExternalLocal = true
		w.put(local, backends("n1"))
		w.start()
		if got := w.answered("192.0.2.1"); got != "n1" {
			t.Fatalf("answered for by %q", got)
		}
		start := time.Now()
		w.homes["n1"].cancel()
		<-w.homes["n1"].done
		if took := time.Since(start); took != 0 || w.answered("192.0.2.1") != "" {
			t.Errorf("it ended after %v, and %q answers", took, w.answered("192.0.2.1"))
		}
	})
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(10)
		w.start()
		w.hear("n1 n2", "n3") // n3 still is a member for itself alone
		w.hear("n1 n2 n3")
		for _, name := range []string{"n2", "n3"} { // they are deaf for what they are told from now on
			w.homes[name].news = make(chan struct{}, 1)
		}
		start := time.Now()
		w.homes["n1"].cancel()
		<-w.homes["n1"].done
		if took := time.Since(start); took > stopTime {
			t.Errorf("it ended after %v", took)
		}
		for a, owner := range w.owners(all) {
			if owner == "n1" {
				t.Errorf("%s is still answered for", a)
			}
		}
	})
}

func TestNodeThatIsCutOffIsFenced(t *testing.T) {
	inTown(t, 3, Options{FenceAfter: 5 * time.Second}, func(t *testing.T, w *town) {
		all := w.shops(30)
		w.start()
		w.homes["n3"].notes.take()
		was := w.owners(all)
		w.hear("n1 n2", "n3")
		for _, d := range []time.Duration{0, 5*time.Second - time.Millisecond} {
			pass(d)
			// It goes on with what it has, and takes nothing from those that it can't hear.
			for _, a := range all {
				if got := strings.Contains(w.answered(a), "n3"); got != (was[a] == "n3") {
					t.Errorf("%s was answered for by %s, now by %s", a, was[a], w.answered(a))
				}
			}
		}
		pass(time.Millisecond)
		for a, owner := range w.owners(all) {
			if want := elected(a, "n1", "n2"); owner != want {
				t.Errorf("%s is answered for by %q, want %s", a, owner, want)
			}
		}
		st := w.homes["n3"].speaker.Status()
		if st.Layer2.Reason.Code != why.Fenced || st.Services[0].Reason.Code != why.Fenced {
			t.Errorf("status says %v, of a Service %v", st.Layer2.Reason, st.Services[0].Reason)
		}
		var events []string
		for _, line := range w.homes["n3"].notes.take() {
			if strings.Contains(line, "fenced") {
				events = append(events, line)
			}
		}
		if len(events) != 1 || !strings.HasPrefix(events[0], "node n3 fenced: node n3 hears 1 of 3 speakers") {
			t.Errorf("events %q", events)
		}
		w.hear("n1 n2 n3")
		pass(moveTime)
		for a, owner := range w.owners(all) {
			if want := elected(a, "n1", "n2", "n3"); owner != want {
				t.Errorf("%s is answered for by %q, want %s", a, owner, want)
			}
		}
	})
}

// Until the others have been asked, a speaker that begins does not know what is its own.
func TestSpeakerThatBeginsWaitsForTheOthers(t *testing.T) {
	inTown(t, 2, Options{}, func(t *testing.T, w *town) {
		all := w.shops(10)
		for _, h := range w.homes {
			h.fresh = true
		}
		w.start()
		for a, owner := range w.owners(all) {
			if owner != "" {
				t.Errorf("%s is answered for by %s", a, owner)
			}
		}
		if got := w.homes["n1"].speaker.Status().Services[0].Reason.Code; got != why.NotSynced {
			t.Errorf("reason %v", got)
		}
		for _, h := range w.homes {
			h.fresh = false
		}
		w.wake()
		for a, owner := range w.owners(all) {
			if owner != elected(a, "n1", "n2") {
				t.Errorf("%s is answered for by %q", a, owner)
			}
		}
	})
}

func TestWithoutMembershipEveryNodeCounts(t *testing.T) {
	for _, r := range []struct {
		reason why.Reason
		answer bool
		code   why.Code
	}{
		{why.Reason{Code: why.SecretMissing}, true, why.NodeAssigned},
		{why.Reason{Code: why.PortUnavailable}, false, why.AnnounceFailed},
	} {
		inTown(t, 1, Options{}, func(t *testing.T, w *town) {
			w.shops(1)
			w.homes["n1"].reason = r.reason
			w.start()
			if got := w.answered("192.0.2.1") == "n1"; got != r.answer {
				t.Errorf("%v: answered for: %v", r.reason.Code, got)
			}
			if got := w.homes["n1"].speaker.Status().Services[0].Reason; got.Code != r.code {
				t.Errorf("%v: reason %v %s", r.reason.Code, got.Code, got)
			}
		})
	}
}

func TestConflictIsToldOfOnce(t *testing.T) {
	inTown(t, 2, Options{}, func(t *testing.T, w *town) {
		w.shops(1)
		w.start()
		owner := w.homes[w.answered("192.0.2.1")]
		owner.notes.take()
		stranger := layer2.Conflict{Addr: addr("192.0.2.1"), MAC: layer2.MAC{6, 6, 6, 6, 6, 6}, Interface: "eth0"}
		for range 3 {
			if !owner.speaker.Conflict(stranger) {
				t.Error("the address is not defended")
			}
			synctest.Wait()
			pass(layer2.ConflictInterval)
		}
		want := []string{"default/s1 addressConflict: a host with MAC 06:06:06:06:06:06 on interface eth0 claims 192.0.2.1 too: find it, and give it another address"}
		if got := owner.notes.take(); !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
		pass(conflictPause)
		owner.speaker.Conflict(stranger)
		synctest.Wait()
		if got := owner.notes.take(); !slices.Equal(got, want) {
			t.Errorf("events after a while %q", got)
		}
		// Another speaker is not fought. If it is a member, it will find out; if it is
		// not heard of, somebody has to be told.
		other := w.homes[w.others(owner.name)]
		owner.speaker.Conflict(layer2.Conflict{Addr: addr("192.0.2.1"), MAC: other.links[0].MAC, Interface: "eth0"})
		pass(takeoverTime)
		if got := owner.notes.take(); len(got) > 0 {
			t.Errorf("a member's claim is told of: %q", got)
		}
		w.hear(owner.name, other.name)
		if owner.speaker.Conflict(layer2.Conflict{Addr: addr("192.0.2.1"), MAC: other.links[0].MAC, Interface: "eth0"}) {
			t.Error("the address is defended against another speaker")
		}
		pass(takeoverTime - time.Millisecond)
		if got := owner.notes.take(); len(got) > 0 {
			t.Errorf("what may be a move is told of: %q", got)
		}
		pass(time.Millisecond)
		if got := strings.Join(owner.notes.take(), "\n"); !strings.Contains(got, "node "+other.name+" announces 192.0.2.1 too") {
			t.Errorf("events %q", got)
		}
		if got := owner.speaker.Status().Layer2.Conflicts; got != 3 {
			t.Errorf("%d conflicts", got)
		}
	})
}

// announceOn has addresses announced on one interface alone.
func (w *town) announceOn(link string) {
	cfg := *w.world.Config
	cfg.Advertisements = []pharos.Advertisement{{Name: "lan", Mode: pharos.Layer2, Pools: []string{"lan"}, Interfaces: []string{link}}}
	w.world.Config = &cfg
}

// A node that has told that it lacks the interface is not elected; if all do, the one
// that is says so.
func TestNodesWithoutTheInterface(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.announceOn("eth1")
		w.homes["n2"].links = append(w.homes["n2"].links, layer2.LinkStatus{Name: "eth1", MAC: layer2.MAC{2, 1, 0, 0, 0, 2}})
		w.start()
		for a, owner := range w.owners(all) {
			if owner != "n2" {
				t.Errorf("%s is answered for by %q", a, owner)
			}
		}
		w.mu.Lock()
		w.homes["n2"].links[2].IPv4 = layer2.NoCarrier
		w.homes["n2"].notes.take()
		w.mu.Unlock()
		token(w.homes["n2"].replaced)
		pass(moveTime)
		for a, owner := range w.owners(all) {
			if owner != "" {
				t.Errorf("%s is answered for by %q", a, owner)
			}
		}
		failed := strings.Join(w.homes["n2"].notes.take(), "\n")
		if !strings.Contains(failed, "announceFailed: this node is elected to announce 192.0.2.") || !strings.Contains(failed, "has no interface for it: eth1 is no carrier") {
			t.Errorf("events of n2 %s", failed)
		}
		// Another one gets it: it can answer, whoever the hash would choose.
		w.mu.Lock()
		w.homes["n3"].links = append(w.homes["n3"].links, layer2.LinkStatus{Name: "eth1", MAC: layer2.MAC{2, 1, 0, 0, 0, 3}})
		w.mu.Unlock()
		token(w.homes["n3"].replaced)
		pass(moveTime)
		for a, owner := range w.owners(all) {
			if owner != "n3" {
				t.Errorf("%s is answered for by %q, n3 alone could", a, owner)
			}
		}
	})
}

// What a node has too many links to tell of, it must not go by itself: the others could not
// come to the same answer.
func TestNodeThatCannotTellOfAllItsLinks(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.announceOn("eth1")
		for _, name := range []string{"n1", "n2"} {
			w.homes[name].links = append(w.homes[name].links, layer2.LinkStatus{Name: "eth1", MAC: layer2.MAC{2, 1, 0, 0, 0, 2}})
		}
		w.homes["n3"].links = append(w.homes["n3"].links, layer2.LinkStatus{Name: "eth2", MAC: layer2.MAC{2, 1, 0, 0, 0, 3}})
		w.homes["n3"].most = 1
		w.start()
		for _, a := range all {
			for name, h := range w.homes {
				for _, svc := range h.speaker.Status().Services {
					if got, want := svc.Addresses[0].Owner, elected(a, "n1", "n2", "n3"); svc.Addresses[0].Addr == addr(a) && got != want {
						t.Errorf("%s elects %s for %s, want %s", name, got, a, want)
					}
				}
			}
		}
	})
}

func TestStickyOwnersKeepWhatTheyHave(t *testing.T) {
	sticky := Options{Policy: election.Policy{Sticky: true}, FenceAfter: 5 * time.Second}
	inTown(t, 3, sticky, func(t *testing.T, w *town) {
		all := w.shops(30)
		w.start()
		first := w.owners(all)
		w.hear("n1 n3") // n2 is gone, and comes back
		pass(10 * time.Second)
		without := w.owners(all)
		w.hear("n1 n2 n3")
		pass(moveTime)
		moved := 0
		for a, owner := range w.owners(all) {
			if owner != strings.TrimSpace(strings.ReplaceAll(without[a], "n2", "")) {
				t.Errorf("%s went from %q back to %q", a, without[a], owner)
			}
			if owner != first[a] {
				moved++
			}
		}
		if moved == 0 {
			t.Error("n2 had nothing to lose")
		}
	})
	// While one speaker was not told of the option, none applies it.
	inTown(t, 2, sticky, func(t *testing.T, w *town) {
		w.homes["n2"].speaker.opt.Policy = election.Policy{}
		all := w.shops(10)
		w.start()
		pass(moveTime)
		for a, owner := range w.owners(all) {
			if owner != elected(a, "n1", "n2") {
				t.Errorf("%s is answered for by %q", a, owner)
			}
		}
	})
}

func TestSpreadBoundsWhatANodeAnswersFor(t *testing.T) {
	inTown(t, 3, Options{Policy: election.Policy{Spread: 1}}, func(t *testing.T, w *town) {
		all := w.shops(9)
		w.start()
		bounded := func(addrs []string, nodes, most int) {
			t.Helper()
			n := map[string]int{}
			for a, owner := range w.owners(addrs) {
				n[owner]++
				if strings.Contains(owner, " ") || owner == "" {
					t.Errorf("%s is answered for by %q", a, owner)
				}
			}
			for owner, count := range n {
				if count > most || len(n) != nodes {
					t.Errorf("%s answers for %d addresses, and there are %d owners", owner, count, len(n))
				}
			}
		}
		bounded(all, 3, 3)
		all = w.shops(12) // three more
		w.tell()
		pass(moveTime)
		bounded(all, 3, 4)
		w.die("n1")
		pass(moveTime)
		bounded(all, 2, 6)
	})
}

// After any sequence of changes each address is answered for by the node that an
// election from scratch gives, and by no other.
func TestAnswersFollowTheWorld(t *testing.T) {
	for seed := range uint64(8) {
		inTown(t, 4, Options{}, func(t *testing.T, w *town) {
			r := rand.New(rand.NewPCG(seed, 7))
			nodes := []string{"n1", "n2", "n3", "n4"}
			w.start()
			up := slices.Clone(nodes)
			for range 40 {
				switch i := 1 + r.IntN(15); r.IntN(5) {
				case 0:
					svc := service(fmt.Sprint("s", i), fmt.Sprintf("192.0.2.%d", i))
					svc.ExternalLocal = r.IntN(2) == 0
					w.put(svc, backends(nodes[r.IntN(4)], nodes[r.IntN(4)]))
				case 1:
					w.world.Services = w.world.Services.Without(pharos.Name{Namespace: "default", Name: fmt.Sprint("s", i)})
				case 2:
					up = nil
					for _, n := range nodes {
						if r.IntN(3) > 0 {
							up = append(up, n)
						}
					}
					w.hear(strings.Join(up, " "))
				case 3:
					n := node(1 + r.IntN(4))
					n.NetworkUnavailable = r.IntN(2) == 0
					w.world.Nodes = w.world.Nodes.With(n.Name, n)
				case 4:
					h := w.homes[nodes[r.IntN(4)]]
					w.mu.Lock()
					h.links[0].IPv4 = [...]layer2.LinkState{layer2.Usable, layer2.NoCarrier}[r.IntN(2)]
					w.mu.Unlock()
					token(h.replaced)
				}
				w.tell()
				pass(time.Duration(r.IntN(4000)) * time.Millisecond)
			}
			pass(moveTime)
			for name, svc := range w.world.Services.All() {
				eps, _ := w.world.Endpoints.Get(name)
				var candidates []string
				for _, n := range up {
					node, _ := w.world.Nodes.Get(n)
					if !node.NetworkUnavailable && (!svc.ExternalLocal || slices.Contains(servable(eps), n)) {
						candidates = append(candidates, n)
					}
				}
				lame := func(n string) bool { return w.homes[n].links[0].IPv4 != layer2.Usable }
				if able := slices.DeleteFunc(slices.Clone(candidates), lame); len(able) > 0 {
					candidates = able
				}
				if slices.ContainsFunc(candidates, lame) {
					candidates = nil // whoever is elected has to keep quiet
				}
				a := svc.Ingress[0].String()
				answered := strings.Fields(w.answered(a))
				answered = slices.DeleteFunc(answered, func(n string) bool { return !slices.Contains(up, n) })
				if got, want := strings.Join(answered, " "), elected(a, candidates...); got != want {
					t.Errorf("seed %d: %s is answered for by %q, want %q of %v", seed, a, got, want, candidates)
				}
			}
			for _, n := range up {
				for a := range w.homes[n].answers {
					if _, ok := w.world.Services.Get(pharos.Name{Namespace: "default", Name: fmt.Sprint("s", a.As4()[3])}); !ok {
						t.Errorf("seed %d: %s is answered for without a Service", seed, a)
					}
				}
			}
		})
	}
}
