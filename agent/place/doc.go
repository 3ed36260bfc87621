// Package place finds out where an agent stands: the address that clients reach it at and its availability zone.
//
// What a person set wins. An agent that listens on the loopback interface is a local one and asks nobody. In ECS
// the task metadata tells address and zone, on EC2 the instance metadata (IMDSv2); else the first address of the
// machine that is not loopback is advertised and there is no zone. Both metadata services are only asked where
// there is a sign of them, so that nothing is sent off-cloud, and no answer is waited for longer than a second.
//
// A device of floor 1: HTTP, two files under /sys and the list of interfaces; nothing of Odradek is imported.
// Find is called once at start; the package keeps no state and starts no goroutine that outlives the call.
//
// Sources: Amazon ECS task metadata endpoint version 4; Amazon EC2 instance metadata service version 2.
package place
