package control

import "iter"

// tree is a persistent ordered map, a height-balanced binary tree: put and drop return a new tree that shares
// all but one path with the old one, which stays as it was. Values must not be changed once they are in.
type tree[K, V any] struct {
	root    *node[K, V]
	size    int
	compare func(a, b K) int
}

// node is never changed once made.
type node[K, V any] struct {
	left, right *node[K, V]
	key         K
	value       V
	height      int8
}

func newTree[K, V any](compare func(a, b K) int) tree[K, V] { return tree[K, V]{compare: compare} }

func (t tree[K, V]) get(key K) (V, bool) {
	for n := t.root; n != nil; {
		switch c := t.compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	var none V
	return none, false
}

func (t tree[K, V]) has(key K) bool { _, ok := t.get(key); return ok }

func (t tree[K, V]) put(key K, value V) tree[K, V] {
	if !t.has(key) {
		t.size++
	}
	t.root = t.insert(t.root, key, value)
	return t
}

func (t tree[K, V]) drop(key K) tree[K, V] {
	if t.has(key) {
		t.size--
		t.root = t.remove(t.root, key)
	}
	return t
}

// all walks the tree in key order.
func (t tree[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.walk(yield) }
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	return n == nil || n.left.walk(yield) && yield(n.key, n.value) && n.right.walk(yield)
}

func (t tree[K, V]) insert(n *node[K, V], key K, value V) *node[K, V] {
	if n == nil {
		return &node[K, V]{key: key, value: value, height: 1}
	}
	switch c := t.compare(key, n.key); {
	case c < 0:
		return balance(t.insert(n.left, key, value), n, n.right)
	case c > 0:
		return balance(n.left, n, t.insert(n.right, key, value))
	default:
		return &node[K, V]{left: n.left, right: n.right, key: key, value: value, height: n.height}
	}
}

// remove takes out a key that is there.
func (t tree[K, V]) remove(n *node[K, V], key K) *node[K, V] {
	switch c := t.compare(key, n.key); {
	case c < 0:
		return balance(t.remove(n.left, key), n, n.right)
	case c > 0:
		return balance(n.left, n, t.remove(n.right, key))
	case n.left == nil:
		return n.right
	case n.right == nil:
		return n.left
	}
	next := n.right
	for next.left != nil {
		next = next.left
	}
	return balance(n.left, next, removeFirst(n.right))
}

func removeFirst[K, V any](n *node[K, V]) *node[K, V] {
	if n.left == nil {
		return n.right
	}
	return balance(removeFirst(n.left), n, n.right)
}

func (n *node[K, V]) h() int8 {
	if n == nil {
		return 0
	}
	return n.height
}

// join makes a node with m's key and value over two subtrees whose heights differ by at most one.
func join[K, V any](left, m, right *node[K, V]) *node[K, V] {
	return &node[K, V]{left: left, right: right, key: m.key, value: m.value, height: 1 + max(left.h(), right.h())}
}

// balance is join for subtrees whose heights differ by at most two: the result is balanced.
func balance[K, V any](left, m, right *node[K, V]) *node[K, V] {
	switch {
	case left.h() > right.h()+1:
		if left.left.h() >= left.right.h() {
			return join(left.left, left, join(left.right, m, right))
		}
		up := left.right
		return join(join(left.left, left, up.left), up, join(up.right, m, right))
	case right.h() > left.h()+1:
		if right.right.h() >= right.left.h() {
			return join(join(left, m, right.left), right, right.right)
		}
		up := right.left
		return join(join(left, m, up.left), up, join(up.right, right, right.right))
	}
	return join(left, m, right)
}
