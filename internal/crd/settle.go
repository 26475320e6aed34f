package crd

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/rule"
	"github.com/pharoslb/pharos/why"
)

// faults are what is wrong with one object.
type faults []fault

type fault struct {
	field string
	code  why.Code
	rule.Fault
}

func (f *faults) add(field, hint, format string, args ...any) {
	*f = append(*f, fault{field, why.ConfigInvalid, rule.Fault{Reason: fmt.Sprintf(format, args...), Hint: hint}})
}

// fits adds what is wrong with a field, if anything is, and reports whether
// nothing is.
func (f *faults) fits(field string, one *rule.Fault) bool {
	if one != nil {
		*f = append(*f, fault{field, why.ConfigInvalid, *one})
	}
	return one == nil
}

// awaits adds that a field refers to something that is not there.
func (f *faults) awaits(code why.Code, field, hint, format string, args ...any) {
	*f = append(*f, fault{field, code, rule.Fault{Reason: fmt.Sprintf(format, args...), Hint: hint}})
}

// last is the reason of the fault that was added last.
func (f *faults) last() why.Reason {
	l := (*f)[len(*f)-1]
	return why.Reason{Code: l.code, Detail: l.Reason}
}

// mostTold is how many faults are told of at once of one object: enough to see
// what is wrong, and no more than people read.
const mostTold = 25

// tell makes Problems of an object's faults.
func (s *session) tell(object pharos.Ref, list faults) {
	if more := len(list) - mostTold; more > 0 {
		list = slices.Clone(list[:mostTold])
		list.add(list[mostTold-1].field, "", "and %d more", more)
	}
	for _, f := range list {
		s.problems = append(s.problems, pharos.Problem{Object: object, Field: f.field, Reason: why.Reason{Code: f.code, Detail: f.Reason}, Hint: f.Hint})
	}
}

// version is what an object, of that identity, said when it was in force.
type version[T any] struct {
	uid   types.UID
	since int // the Parse that it was accepted by
	value *T
}

// memory is what was in force after the last Parse.
type memory[T any] map[pharos.Ref]version[T]

// draft is an object of a kind, as it may come into force.
type draft[T any] struct {
	ref       pharos.Ref
	uid       types.UID
	since     int               // the Parse that accepted what was last in force
	labels    map[string]string // as they are now; they may change whatever the rest says
	now, last *T                // as it is written, nil if that is wrong; as it was in force, nil if it never was
	refused   faults            // of what is written, which is no longer tried

	// unchanged says that the object says what it said when it was accepted, or
	// nothing that could be accepted instead.
	unchanged bool
}

// versions are what may come into force of the object, the best first.
func (d *draft[T]) versions() []*T {
	switch {
	case d.now == nil && d.last == nil:
		return nil
	case d.now == nil:
		return []*T{d.last}
	case d.last == nil || d.unchanged:
		return []*T{d.now}
	}
	return []*T{d.now, d.last}
}

// drafts reads the objects of a kind, with what the Parser remembers of them, in
// the order in which they come into force.
func drafts[T any, O metav1.Object](s *session, kind string, objects []O, past memory[T], read func(O, *faults) *T) []draft[T] {
	var out []draft[T]
	for _, o := range within(s, kind, objects) {
		d := draft[T]{ref: ref(kind, o), uid: o.GetUID(), labels: o.GetLabels()}
		if v, ok := past[d.ref]; ok && v.uid == d.uid {
			d.last, d.since = v.value, v.since
		}
		var wrong faults
		if v := read(o, &wrong); len(wrong) == 0 {
			d.now = v
		}
		s.tell(d.ref, wrong)
		out = append(out, d)
	}
	return inOrder(out)
}

// inOrder sorts drafts, which are by age and name: first what is unchanged, in
// the order in which it was accepted.
func inOrder[T any](list []draft[T]) []draft[T] {
	for i := range list {
		d := &list[i]
		d.unchanged = d.last != nil && (d.now == nil || reflect.DeepEqual(d.now, d.last))
	}
	rank := func(d draft[T]) int {
		if d.unchanged {
			return d.since
		}
		return math.MaxInt
	}
	slices.SortStableFunc(list, func(a, b draft[T]) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// settle brings the drafts into force, one after the other, and returns what is.
// Try puts a version into the Config unless it finds fault with it. Of an object
// whose last chance the version is, it may put a part, and find fault with the
// rest. Clear takes out again what was put in, and is called first.
//
// Where an edit took the place of an object's last good version, and that object's
// own edit is refused, all begins anew with the version that was in force: nobody
// loses it by what others say.
func settle[T any](s *session, list []draft[T], clear func(), try func(d *draft[T], v *T, lastChance bool) (bool, faults)) memory[T] {
	before := len(s.problems)
	for {
		clear()
		s.problems = s.problems[:before]
		inForce, lost := memory[T]{}, false
		for i := range list {
			d := &list[i]
			if !settleOne(s, d, inForce, try) && d.last != nil && d.now != nil && !d.unchanged {
				d.now, lost = nil, true
			}
		}
		if !lost {
			return inForce
		}
		inOrder(list)
	}
}

// settleOne brings an object into force and reports whether any version of it is.
func settleOne[T any](s *session, d *draft[T], inForce memory[T], try func(d *draft[T], v *T, lastChance bool) (bool, faults)) bool {
	s.tell(d.ref, d.refused)
	versions := d.versions()
	for n, v := range versions {
		ok, wrong := try(d, v, n == len(versions)-1)
		if ok || v == d.now || d.refused == nil {
			s.tell(d.ref, wrong)
		}
		if ok {
			since := s.past.turn
			if v == d.last || d.unchanged {
				since = d.since
			}
			inForce[d.ref] = version[T]{d.uid, since, v}
			return true
		}
		if v == d.now {
			d.refused = wrong
		}
	}
	return false
}
