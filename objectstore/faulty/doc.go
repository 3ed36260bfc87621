// Package faulty is a bucket that goes wrong as a test says. It wraps any store, asks a script before each call, and
// does what the script answers: fail before or after the call took effect, wait, damage what was read, or let a PUT
// arrive after its caller has given up.
//
//	store := faulty.New(memory.New(), faulty.Nth(3, faulty.Fault{After: faulty.ErrLost}))
//	store.Cut()  // an outage: every call fails until Mend
//	store.Land() // what was held by Fault.Late arrives now
//
// Floor 1. It starts no goroutine and draws no random numbers: calls are numbered in the order they come, so a test
// whose calls come in one order sees the same faults each time. Waiting uses the time package and so runs on the fake
// clock of a testing/synctest bubble.
package faulty
