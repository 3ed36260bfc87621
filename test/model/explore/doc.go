// Package explore visits every state that a small model of a protocol can reach, breadth first, so that the first
// violation found is a shortest one.
//
// A model is a plain value, the state, made of bytes and bools only; a function that lists what can happen next; one
// that says what is wrong with a state. Steps that need not happen (faults, clients, agents out of reach) are marked,
// so that a goal can be asked for: from every state some way of the other steps leads to it.
//
//	explore.Model[State]{Name: "slots", First: first, Next: next, Wrong: wrong}.Run()
//
// Seen states are kept as 64-bit hashes with one back pointer each, about 40 bytes, so tens of millions fit; that any two
// of ten million states are taken for one has a chance of 3 in a million, with another hash at each run. A trace
// is told by walking forward again from the first state.
//
// It sees nothing of this module, starts no goroutine, and is used by test/model only.
package explore
