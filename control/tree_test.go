package control

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// depth checks order and balance on the way.
func depth(t *testing.T, n *node[int, int]) int8 {
	if n == nil {
		return 0
	}
	l, r := depth(t, n.left), depth(t, n.right)
	if n.height != 1+max(l, r) || l-r > 1 || r-l > 1 {
		t.Fatalf("node %d: height %d over %d and %d", n.key, n.height, l, r)
	}
	return n.height
}

func TestTree_IsAMapThatKeepsItsPast(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tr, want := newTree[int, int](cmp.Compare[int]), map[int]int{}
	var old tree[int, int]
	var oldWant map[int]int
	for i := range 4000 {
		if i == 2000 {
			old, oldWant = tr, maps.Clone(want)
		}
		if k := rng.IntN(500); rng.IntN(2) == 0 {
			tr = tr.put(k, i)
			want[k] = i
		} else {
			tr = tr.drop(k)
			delete(want, k)
		}
		if i%100 == 0 {
			depth(t, tr.root)
		}
		if tr.size != len(want) {
			t.Fatalf("size %d, want %d", tr.size, len(want))
		}
	}
	for _, c := range []struct {
		tree tree[int, int]
		want map[int]int
	}{{tr, want}, {old, oldWant}} {
		if got := maps.Collect(c.tree.all()); !maps.Equal(got, c.want) {
			t.Fatalf("tree holds %v, want %v", got, c.want)
		}
		var keys []int
		for k := range c.tree.all() {
			keys = append(keys, k)
		}
		if !slices.IsSorted(keys) {
			t.Fatalf("keys %v out of order", keys)
		}
	}
	if v, ok := tr.get(-1); ok || v != 0 {
		t.Fatalf("got %d for a key that is not there", v)
	}
	for k := range tr.all() {
		if got, ok := tr.get(k); !ok || got != want[k] {
			t.Fatalf("key %d: %d, want %d", k, got, want[k])
		}
		break
	}
}
