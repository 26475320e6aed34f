package speaker

import (
	"testing"
	"testing/synctest"
	"time"
)

// A speaker that is alive before it knows the cluster leaves the addresses where they are.
func TestNothingMovesToASpeakerThatIsNotReady(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.start("n1", "n2")
		w.watch(all...)
		blank := w.world
		blank.Synced, blank.Revision = false, blank.Revision+1
		w.homes["n3"].feed.set(&blank)
		w.run("n3")
		w.hear("n1 n2 n3")
		pass(time.Minute)
		for a, owner := range w.owners(all) {
			if want := elected(a, "n1", "n2"); owner != want {
				t.Errorf("%s is answered for by %q, want %s", a, owner, want)
			}
		}
		w.tell()
		pass(moveTime)
		for a, owner := range w.owners(all) {
			if want := elected(a, "n1", "n2", "n3"); owner != want {
				t.Errorf("%s is answered for by %q, want %s", a, owner, want)
			}
		}
		if len(w.silent) > 0 {
			t.Errorf("for a moment nobody answered for %v", w.silent)
		}
	})
}

// Of speakers that all begin at once, none takes over what another is about to.
func TestSpeakersThatBeginTogetherWaitForEachOther(t *testing.T) {
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.tell()
		check := func(when string, nodes ...string) {
			t.Helper()
			for a, owner := range w.owners(all) {
				if want := elected(a, nodes...); owner != want {
					t.Errorf("%s: %s is answered for by %q, want %q", when, a, owner, want)
				}
			}
		}
		w.hear("n1")
		w.run("n1")
		pass(time.Second)
		check("one of three")
		w.hear("n1 n2")
		w.run("n2")
		pass(time.Second)
		check("two of three")
		w.hear("n1 n2 n3")
		w.run("n3")
		synctest.Wait()
		check("all", "n1", "n2", "n3")
	})
	inTown(t, 3, Options{}, func(t *testing.T, w *town) {
		all := w.shops(20)
		w.tell()
		w.hear("n1 n3")
		w.run("n1")
		pass(time.Second)
		w.run("n3")
		pass(beginTime - time.Second)
		for a, owner := range w.owners(all) { // the first has waited for long enough
			if want := elected(a, "n1", "n3"); owner != want {
				t.Errorf("%s is answered for by %q, want %q", a, owner, want)
			}
		}
	})
}
