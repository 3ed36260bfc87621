// Package starts models what the new owner of a partition knows of its log start (F5, M1, G3). Log starts lie in the slots
// of whoever owned the partition, also under epochs that wrote no record; those the control state forgets.
//
// One partition, three agents with a journal each. The partition is moved by RELEASE and taken over by seal; an agent reads
// the journals of others in any order, each from its first slot on. Freezing, landing and the race of seals are in package
// slots, what offsets epochs begin at in package moves: here a slot counts as soon as it is written.
package starts
