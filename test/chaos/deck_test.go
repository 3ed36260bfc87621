package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/chaos/pool"
)

// long is a run that can do everything.
var long = able{store: pool.MinIO, minutes: 60, inside: true, small: true}

// dealer is the deck of a long run on MinIO.
func dealer(t *testing.T, seed uint64, only ...string) *deck {
	t.Helper()
	d, err := newDeck(seed, allFaults(long), only)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deal deals n times and gives the names of the faults.
func deal(t *testing.T, seed uint64, n int, only ...string) []string {
	t.Helper()
	d := dealer(t, seed, only...)
	var out []string
	for i := range n {
		f := d.next()
		out = append(out, f.name)
		for _, o := range d.beside(f, i%4) {
			if o.class == f.class || o.long {
				t.Fatalf("%s beside %s", o.name, f.name)
			}
			out = append(out, o.name)
		}
	}
	return out
}

func TestDeck_SeedFixesTheOrder(t *testing.T) {
	if diff := cmp.Diff(deal(t, 7, 200), deal(t, 7, 200)); diff != "" {
		t.Fatalf("one seed, two orders:\n%s", diff)
	}
	if cmp.Equal(deal(t, 7, 200), deal(t, 8, 200)) {
		t.Fatal("two seeds, one order")
	}
}

func TestDeck_BeginsWithATakeoverAndARecovery(t *testing.T) {
	for seed := range uint64(50) {
		d := dealer(t, seed)
		if a, b := d.next().name, d.next().name; a != "kill until taken over" || b != "flushall" {
			t.Fatalf("seed %d begins with %s and %s", seed, a, b)
		}
	}
}

func TestDeck_ARoundHasEachFaultByItsWeight(t *testing.T) {
	d := dealer(t, 3)
	seen, cards := make(map[string]int), len(d.left)
	for range cards {
		seen[d.next().name]++
	}
	for _, f := range d.all {
		if seen[f.name] != f.weight || f.weight < 1 {
			t.Errorf("%s was dealt %d times in a round, and weighs %d", f.name, seen[f.name], f.weight)
		}
	}
}

// Short runs have what long ones have: the cards of a fault that has many are never more than two parts of the round apart.
func TestDeck_SpreadsAFaultEvenly(t *testing.T) {
	const name = "failover to a lagging replica"
	for seed := range uint64(20) {
		d := dealer(t, seed)
		cards, weight := len(d.left), 0
		for _, f := range d.all {
			if f.name == name {
				weight = f.weight
			}
		}
		d.shuffle() // a round whose beginning was not arranged
		for gap := 0; len(d.left) > 0; gap++ {
			if d.next().name == name {
				gap = 0
			}
			if gap > 3*cards/weight {
				t.Fatalf("seed %d: none among %d of %d cards", seed, gap, cards)
			}
		}
	}
}

func TestDeck_OnlySome(t *testing.T) {
	for _, name := range deal(t, 1, 20, "flush", "failover") {
		if name != "flushall" && name != "failover to a lagging replica" {
			t.Fatalf("dealt %s", name)
		}
	}
	if _, err := newDeck(1, allFaults(long), []string{"no such fault"}); err == nil {
		t.Fatal("no fault is left, and no error")
	}
}

func TestDeck_ShortRunsHaveNoFaultOfAMinute(t *testing.T) {
	for _, f := range allFaults(able{store: pool.MinIO, minutes: 3}) {
		if f.long {
			t.Fatalf("%s in a run of three minutes", f.name)
		}
	}
}
