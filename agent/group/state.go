package group

// State is the state of a group, under Kafka's names.
type State string

// The states of a classic group.
const (
	Empty               State = "Empty"               // no members; offsets may be kept
	PreparingRebalance  State = "PreparingRebalance"  // members are to join the next generation
	CompletingRebalance State = "CompletingRebalance" // the leader's assignment is awaited or being written
	Stable              State = "Stable"              // every member can have its assignment
	Dead                State = "Dead"                // there is no such group
)
