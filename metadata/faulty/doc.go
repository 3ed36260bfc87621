// Package faulty makes a metadata store misbehave, for tests of those who rely on it. A World is what stands where Redis
// stands in production: it may forget everything, go back to a snapshot, be promoted somewhere else, or be two at once.
// Each agent has a Store of its own in it, a link that may be cut and that may lose, delay or refuse single calls.
//
// Floor 1; a Store implements all roles of metadata and passes metadata/metadatatest when nothing is wrong. It starts no
// goroutine and uses the clock for delays only, so it runs inside a testing/synctest bubble.
//
//	world := faulty.NewWorld()
//	a, b := world.Connect(nil), world.Connect(nil)
//	old := world.Snapshot()
//	...
//	a.Cut()                  // one agent cannot reach it; the others can
//	world.RollBack(old, embedded.NewIdentity())
//	world.Split(old, a)      // a sees another master from now on
//	world.Heal()
package faulty
