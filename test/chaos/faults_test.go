package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/test/chaos/pool"
)

// deal deals n times and gives the names of the faults.
func deal(t *testing.T, seed uint64, n int, only ...string) []string {
	t.Helper()
	d, err := newDeck(seed, pool.MinIO, only)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range n {
		faults := d.deal(i%2 == 1)
		if len(faults) == 2 && faults[0].class == faults[1].class {
			t.Fatalf("a pair of one class: %s and %s", faults[0].name, faults[1].name)
		}
		for _, f := range faults {
			out = append(out, f.name)
		}
	}
	return out
}

func TestDeck_SeedFixesTheOrder(t *testing.T) {
	if diff := cmp.Diff(deal(t, 7, 60), deal(t, 7, 60)); diff != "" {
		t.Fatalf("one seed, two orders:\n%s", diff)
	}
	if cmp.Equal(deal(t, 7, 60), deal(t, 8, 60)) {
		t.Fatal("two seeds, one order")
	}
}

func TestDeck_BeginsWithATakeoverAndARecovery(t *testing.T) {
	for seed := range uint64(50) {
		d, err := newDeck(seed, pool.MinIO, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := d.deal(false)[0].name, d.deal(false)[0].name; a != "kill until taken over" || b != "flushall" {
			t.Fatalf("seed %d begins with %s and %s", seed, a, b)
		}
	}
}

func TestDeck_EveryFaultOnceInARound(t *testing.T) {
	d, err := newDeck(3, pool.MinIO, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for range len(d.all) {
		seen[d.deal(false)[0].name]++
	}
	for _, f := range d.all {
		if seen[f.name] != 1 {
			t.Errorf("%s was dealt %d times in a round", f.name, seen[f.name])
		}
	}
}

func TestDeck_OnlySome(t *testing.T) {
	for _, name := range deal(t, 1, 20, "flush", "two masters") {
		if name != "flushall" && name != "two masters" {
			t.Fatalf("dealt %s", name)
		}
	}
	if _, err := newDeck(1, pool.MinIO, []string{"no such fault"}); err == nil {
		t.Fatal("no fault is left, and no error")
	}
}
