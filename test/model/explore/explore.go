package explore

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// Model is one run: a protocol with certain rules in force, and how far it may go.
type Model[S comparable] struct {
	Name  string // of the model
	Bound string // how far this run goes, in words
	Off   string // the rule that is not kept, in words: the run must find a violation. Empty = the whole protocol

	First S
	Next  func(s *S, to *Steps[S])
	Wrong func(s *S) string // names the invariant that does not hold; "" when all do
	Tidy  func(s *S)        // optional: makes equal futures equal states
	Alike []func(s S) S     // optional: renamings that change nothing. With the identity they are a group

	// Goal, when set, must stay reachable from every state by steps that are not marked as faults.
	Goal func(s *S) bool
	Lost string // what it means that it is not
}

// Steps collects what can happen next.
type Steps[S comparable] struct {
	next   []S
	fault  []bool
	told   []string
	broken string
	tell   bool
}

// Step adds a next state. The words are formatted only when a trace is told.
func (to *Steps[S]) Step(next *S, format string, args ...any) { to.add(next, false, format, args...) }

// Fault adds a next state that need not come: no goal may depend on it.
func (to *Steps[S]) Fault(next *S, format string, args ...any) { to.add(next, true, format, args...) }

func (to *Steps[S]) add(next *S, fault bool, format string, args ...any) {
	to.next, to.fault = append(to.next, *next), append(to.fault, fault)
	if to.tell {
		to.told = append(to.told, fmt.Sprintf(format, args...))
	}
}

// Broken says that something that must not happen can happen here.
func (to *Steps[S]) Broken(why string) { to.broken = why }

// Result is what a run found.
type Result struct {
	States    int
	Violation string   // "" when every invariant holds in every state
	Trace     []string // the steps to the violation, in words
	Took      time.Duration
}

// Size is how far the runs of the whole protocol go. Those with a rule off go as far as they need.
type Size uint8

const (
	Tiny  Size = iota // seconds, for go test
	Short             // a minute
	Long              // minutes
)

// Case is one run of any model.
type Case struct {
	Name, Bound, Off string
	Run              func() Result
}

// Case wraps a run, whatever its states are.
func (m Model[S]) Case() Case { return Case{m.Name, m.Bound, m.Off, m.Run} }

// block is how many states are kept, and dropped after their visit, together.
const block = 1 << 12

// search is a run under way.
type search[S comparable] struct {
	model   Model[S]
	seed    maphash.Seed
	seen    map[uint64]uint32
	origins []origin
	waiting [][]S       // states by number, in blocks; nil once visited
	helpful [][2]uint32 // steps that are no faults, as (to, from); kept only when there is a goal
	reached []uint32    // states that are a goal
	steps   Steps[S]
}

// origin is where a state was first met: the nth step from another.
type origin struct {
	from uint32
	nth  uint16
}

// Run explores the model to its end, or to the first violation. It panics on a state that holds anything but bytes and
// bools.
func (m Model[S]) Run() Result {
	if t := reflect.TypeFor[S](); !plain(t) {
		panic(fmt.Sprintf("model %s: %s is not made of bytes and bools only", m.Name, t))
	}
	began := time.Now()
	x := &search[S]{model: m, seed: maphash.MakeSeed(), seen: map[uint64]uint32{}}
	r := x.run()
	r.States, r.Took = len(x.origins), time.Since(began)
	return r
}

func (x *search[S]) run() Result {
	x.add(x.oneOfMany(x.model.First), origin{})
	for id := uint32(0); int(id) < len(x.origins); id++ {
		s := x.waiting[id/block][id%block]
		if id%block == block-1 {
			x.waiting[id/block] = nil
		}
		if why := x.model.Wrong(&s); why != "" {
			return Result{Violation: why, Trace: x.trace(id)}
		}
		goal := x.model.Goal != nil
		if goal && x.model.Goal(&s) {
			x.reached = append(x.reached, id)
		}
		x.expand(&s)
		if why := x.steps.broken; why != "" {
			return Result{Violation: why, Trace: x.trace(id)}
		}
		for nth := range x.steps.next {
			to := x.add(x.oneOfMany(x.steps.next[nth]), origin{id, uint16(nth)})
			if goal && !x.steps.fault[nth] {
				x.helpful = append(x.helpful, [2]uint32{to, id})
			}
		}
	}
	if x.model.Goal != nil {
		if id, ok := x.stuck(); ok {
			return Result{Violation: x.model.Lost, Trace: x.trace(id)}
		}
	}
	return Result{}
}

// expand lists the steps from s.
func (x *search[S]) expand(s *S) {
	to := &x.steps
	to.next, to.fault, to.told, to.broken = to.next[:0], to.fault[:0], to.told[:0], ""
	x.model.Next(s, to)
	if x.model.Tidy != nil {
		for i := range to.next {
			x.model.Tidy(&to.next[i])
		}
	}
}

// oneOfMany gives the least of a state's renamings, so that only one of them is visited.
func (x *search[S]) oneOfMany(s S) S {
	least := s
	for _, rename := range x.model.Alike {
		if t := rename(s); bytes.Compare(bytesOf(&t), bytesOf(&least)) < 0 {
			least = t
		}
	}
	return least
}

// bytesOf gives the bytes of a plain value.
func bytesOf[S any](s *S) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s)) }

// add gives a state its number.
func (x *search[S]) add(s S, o origin) uint32 {
	key := maphash.Bytes(x.seed, bytesOf(&s))
	if id, ok := x.seen[key]; ok {
		return id
	}
	id := uint32(len(x.origins))
	x.seen[key] = id
	x.origins = append(x.origins, o)
	if id%block == 0 {
		x.waiting = append(x.waiting, make([]S, 0, block))
	}
	x.waiting[id/block] = append(x.waiting[id/block], s)
	return id
}

// stuck finds the first state from which no goal can be reached: it walks the helpful steps backwards from the goals.
func (x *search[S]) stuck() (uint32, bool) {
	first := make([]uint32, len(x.origins)+1) // where the steps into a state begin, in sources
	for _, e := range x.helpful {
		first[e[0]+1]++
	}
	for i := range x.origins {
		first[i+1] += first[i]
	}
	sources, fill := make([]uint32, len(x.helpful)), slices.Clone(first)
	for _, e := range x.helpful {
		sources[fill[e[0]]] = e[1]
		fill[e[0]]++
	}
	ok := make([]bool, len(x.origins))
	for _, id := range x.reached {
		ok[id] = true
	}
	for len(x.reached) > 0 {
		id := x.reached[len(x.reached)-1]
		x.reached = x.reached[:len(x.reached)-1]
		for _, from := range sources[first[id]:first[id+1]] {
			if !ok[from] {
				ok[from] = true
				x.reached = append(x.reached, from)
			}
		}
	}
	id := slices.Index(ok, false)
	return uint32(max(id, 0)), id >= 0
}

// trace tells the steps that lead to a state. The path was kept in renamed states; it is told in one set of names.
func (x *search[S]) trace(id uint32) []string {
	var path []uint16
	for ; id != 0; id = x.origins[id].from {
		path = append(path, x.origins[id].nth)
	}
	slices.Reverse(path)
	renamed, s, told := x.oneOfMany(x.model.First), x.model.First, make([]string, 0, len(path))
	x.steps.tell = true
	for _, nth := range path {
		x.expand(&renamed)
		renamed = x.oneOfMany(x.steps.next[nth])
		x.expand(&s)
		i := slices.IndexFunc(x.steps.next, func(t S) bool { return x.oneOfMany(t) == renamed })
		s = x.steps.next[i]
		told = append(told, x.steps.told[i])
	}
	return told
}

// plain tells whether a value of the type is its bytes: no pointers, no padding.
func plain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Uint8, reflect.Int8:
		return true
	case reflect.Array:
		return plain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}
