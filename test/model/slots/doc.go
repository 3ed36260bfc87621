// Package slots models how a journal is written, sealed and taken over: S1-S4, P4, F2, F4, O1, and the clean end of an
// agent. One partition goes from journal to journal; every agent keeps window slots in flight; PUTs land in any
// order, late, and with their answers lost.
//
// No agent need ever act, so that a dead one, a paused one and a slow one are the same here, and no clock is needed:
// whoever likes to may take any journal over at any time. The record in slot k of journal j is named by (j, k).
package slots
