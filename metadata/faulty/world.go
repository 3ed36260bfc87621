package faulty

import (
	"sync"

	"github.com/odradek/odradek/metadata/embedded"
)

// World is the stores that stand where one Redis should. Safe for concurrent use.
type World struct {
	mu      sync.Mutex      // guards all below and the links' view
	main    *embedded.Store // what a new link sees
	links   []*Store
	changed chan struct{} // closed and replaced whenever the view of a link changes
}

// NewWorld makes a world with one empty store in it.
func NewWorld() *World {
	return &World{main: embedded.Open(), changed: make(chan struct{})}
}

// Connect makes a link for one agent. A nil script never fails.
func (w *World) Connect(script Script) *Store {
	if script == nil {
		script = func(Call) Fault { return Fault{} }
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &Store{world: w, script: script, below: w.main, ofMethod: make(map[string]int)}
	w.links = append(w.links, s)
	return s
}

// Main is the store that all see who were not split off.
func (w *World) Main() *embedded.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.main
}

// Snapshot copies what the main store holds.
func (w *World) Snapshot() *embedded.Snapshot { return w.Main().Snapshot() }

// Forget puts an empty store with an identity of its own in everybody's place, as FLUSHALL and a restart without its
// files do.
func (w *World) Forget() { w.replace(embedded.Open()) }

// RollBack puts what a snapshot holds in everybody's place. With the snapshot's own identity nothing tells that time went
// back, as after DEBUG RELOAD; with a new one it is a restart from an old file; with the old run id and a new replication
// id it is a master that was promoted again.
func (w *World) RollBack(to *embedded.Snapshot, id embedded.Identity) {
	w.replace(embedded.Restore(to, id))
}

// Split lets the links see a store of their own, made from a snapshot under an identity: with the main store's identity
// both claim to be the same; usually it is a replica that was promoted while its master lives. It returns that store.
func (w *World) Split(from *embedded.Snapshot, id embedded.Identity, links ...*Store) *embedded.Store {
	s := embedded.Restore(from, id)
	w.show(s, links)
	return s
}

// Heal lets everybody see the main store again; the other one's contents are lost.
func (w *World) Heal() {
	w.mu.Lock()
	links := append([]*Store(nil), w.links...)
	main := w.main
	w.mu.Unlock()
	w.show(main, links)
}

func (w *World) replace(s *embedded.Store) {
	w.mu.Lock()
	w.main = s
	links := append([]*Store(nil), w.links...)
	w.mu.Unlock()
	w.show(s, links)
}

func (w *World) show(s *embedded.Store, links []*Store) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range links {
		l.below = s
	}
	w.wake()
}

// wake tells who listens that views changed. The lock is held.
func (w *World) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}
