package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// deck deals faults by the seed. A round has as many cards of a fault as it weighs, spread evenly over the round, so that a
// run of any length has the faults in like proportions. The first two of a run are the ones without which it proves nothing.
type deck struct {
	rng  *rand.Rand
	all  []fault
	left []fault
}

// newDeck has those of the faults whose name holds one of the words, or all.
func newDeck(seed uint64, all []fault, only []string) (*deck, error) {
	d := &deck{rng: rand.New(rand.NewPCG(seed, 0))}
	for _, f := range all {
		if len(only) == 0 || slices.ContainsFunc(only, func(w string) bool { return strings.Contains(f.name, w) }) {
			d.all = append(d.all, f)
		}
	}
	if len(d.all) == 0 {
		return nil, fmt.Errorf("no fault has one of %q in its name", only)
	}
	d.shuffle()
	first := 0
	for _, name := range []string{"kill until taken over", "flushall"} {
		for i, f := range d.left {
			if f.name == name && i >= first {
				d.left[i], d.left[first] = d.left[first], d.left[i]
				first++
				break
			}
		}
	}
	return d, nil
}

// shuffle makes a new round. The i-th of w cards of a fault lies somewhere in the i-th of w equal parts of the round.
func (d *deck) shuffle() {
	type card struct {
		fault
		at float64
	}
	var cards []card
	for _, f := range d.all {
		for i := range f.weight {
			cards = append(cards, card{f, (float64(i) + d.rng.Float64()) / float64(f.weight)})
		}
	}
	slices.SortStableFunc(cards, func(x, y card) int { return cmp.Compare(x.at, y.at) })
	d.left = nil
	for _, c := range cards {
		d.left = append(d.left, c.fault)
	}
}

// next deals one fault.
func (d *deck) next() fault {
	if len(d.left) == 0 {
		d.shuffle()
	}
	f := d.left[0]
	d.left = d.left[1:]
	return f
}

// beside deals up to n faults that may happen while f does: of other classes, and none that takes a minute or comes alone.
func (d *deck) beside(f fault, n int) []fault {
	var out []fault
	for i := 0; i < len(d.left) && len(out) < n; {
		if o := d.left[i]; f.alone || o.alone || o.class == f.class || o.long {
			i++
			continue
		}
		out = append(out, d.left[i])
		d.left = slices.Delete(d.left, i, i+1)
	}
	return out
}
